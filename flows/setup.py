"""What the deployments need on a Prefect server: pool, queue, limits, automations.

Run by `clothret up` as `python -m flows.setup '{"webhook": null, ...}'`; safe to run again.
"""

import sys
from datetime import timedelta
from typing import Any

from prefect import get_client
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.events.actions import ActionTypes, CallWebhook, ChangeFlowRunState, DoNothing
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from clothret.settings import AlertSettings
from flows.service import GPU, POOL

HEARTBEATS_MISSED = timedelta(seconds=120)
"""Four heartbeats of 30 s: a busy machine may be late for one or two."""

NIGHT = timedelta(hours=26)


def main(alerts: AlertSettings) -> None:
    """Create or update everything on the server that `PREFECT_API_URL` names."""
    with get_client(sync_client=True) as client:
        create_pool(client)
        create_limits(client)
        for automation in automations(alert_action(alerts)):
            replace_automation(client, automation)


def create_pool(client: SyncPrefectClient) -> None:
    """A process pool with a default queue and one for the GPU."""
    try:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
    except ObjectAlreadyExists:
        client.read_work_pool(POOL)
    try:
        client.read_work_queue_by_name(GPU, work_pool_name=POOL)
    except ObjectNotFound:
        client.create_work_queue(name=GPU, work_pool_name=POOL, priority=2)


def create_limits(client: SyncPrefectClient) -> None:
    """One training at a time: the named limit that the task holds, and the tag's."""
    client.upsert_global_concurrency_limit_by_name(GPU, 1)
    client.create_concurrency_limit(tag=GPU, concurrency_limit=1)


def alert_action(alerts: AlertSettings) -> ActionTypes:
    """Post to the configured webhook; without one, the event feed of the UI shows the alert."""
    if alerts.webhook is None:
        return DoNothing()
    block = Webhook(method="POST", url=alerts.webhook, allow_private_urls=True)
    block_id = block.save("clothret-alert", overwrite=True)
    message = '{"text": "clothret: {{ automation.name }}", "event": "{{ event.event }}"}'
    return CallWebhook(block_document_id=block_id, payload=message)


def automations(alert: ActionTypes) -> list[AutomationCore]:
    """Alert on failure, alert on silence, and an end for runs whose machine died."""
    of_clothret = {"prefect.resource.role": "tag", "prefect.resource.id": "prefect.tag.clothret"}
    return [
        AutomationCore(
            name="clothret: a run failed",
            trigger=EventTrigger(
                expect={"prefect.flow-run.Failed", "prefect.flow-run.Crashed"},
                match_related=of_clothret,
                posture=Posture.Reactive,
                threshold=1,
            ),
            actions=[alert],
        ),
        AutomationCore(
            name="clothret: no reindex for a night",
            trigger=EventTrigger(
                expect={"prefect.flow-run.Completed"},
                match_related={
                    "prefect.resource.role": "tag",
                    "prefect.resource.id": "prefect.tag.nightly",
                },
                posture=Posture.Proactive,
                threshold=1,
                within=NIGHT,
            ),
            actions=[alert],
        ),
        AutomationCore(
            name="clothret: crash runs without a heartbeat",
            trigger=EventTrigger(
                after={"prefect.flow-run.heartbeat"},
                expect={
                    "prefect.flow-run.heartbeat",
                    "prefect.flow-run.Completed",
                    "prefect.flow-run.Failed",
                    "prefect.flow-run.Cancelled",
                    "prefect.flow-run.Crashed",
                },
                match={"prefect.resource.id": ["prefect.flow-run.*"]},
                for_each={"prefect.resource.id"},
                posture=Posture.Proactive,
                threshold=1,
                within=HEARTBEATS_MISSED,
            ),
            actions=[
                ChangeFlowRunState(state="CRASHED", message="No heartbeat: its process is gone."),
            ],
        ),
    ]


def replace_automation(client: SyncPrefectClient, automation: AutomationCore) -> None:
    """Make `automation` the only one of its name."""
    known: list[Any] = client.read_automations_by_name(automation.name)
    if known:
        client.update_automation(known[0].id, automation)
        for double in known[1:]:
            client.delete_automation(double.id)
    else:
        client.create_automation(automation)


if __name__ == "__main__":
    main(AlertSettings.model_validate_json(sys.argv[1]))
