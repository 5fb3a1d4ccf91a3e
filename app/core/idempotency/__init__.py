"""`Idempotency-Key`: a request that is sent again is carried out once."""
