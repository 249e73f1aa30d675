"""Pictures in, pictures out: decoding, drawing, masks."""
