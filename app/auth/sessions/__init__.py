"""Sessions: sign-in, refresh and sign-out."""
