"""What only development needs: not part of the image."""
