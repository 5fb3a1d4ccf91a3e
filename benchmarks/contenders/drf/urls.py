"""Generic views under the same addresses as Taller's."""

from django.urls import path
from rest_framework_simplejwt.views import TokenObtainPairView
from tracker.views import ProjectDetail, TaskDetail, TaskList

urlpatterns = [
    path("api/v1/projects/<uuid:pk>", ProjectDetail.as_view()),
    path("api/v1/projects/<uuid:project_id>/tasks/", TaskList.as_view()),
    path("api/v1/tasks/<uuid:pk>", TaskDetail.as_view()),
    path("api/v1/auth/login", TokenObtainPairView.as_view()),
]
