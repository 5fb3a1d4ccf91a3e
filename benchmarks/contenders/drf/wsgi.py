"""What gunicorn serves. DRF's views are synchronous, so this is WSGI, as Django's documentation advises."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")

from django.core.wsgi import get_wsgi_application  # noqa: E402

application = get_wsgi_application()
