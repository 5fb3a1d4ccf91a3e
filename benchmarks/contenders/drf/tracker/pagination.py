"""DRF's page numbers in the common envelope."""

from rest_framework.pagination import PageNumberPagination
from rest_framework.response import Response


class Pages(PageNumberPagination):
    page_size_query_param = "size"
    max_page_size = 100

    def get_paginated_response(self, data):
        paginator = self.page.paginator
        return Response(
            {
                "items": data,
                "total": paginator.count,
                "page": self.page.number,
                "size": paginator.per_page,
                "pages": paginator.num_pages,
            }
        )
