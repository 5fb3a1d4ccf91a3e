"""Lists: query parameters, the one SQL statement for a page, and the page's envelope and links."""
