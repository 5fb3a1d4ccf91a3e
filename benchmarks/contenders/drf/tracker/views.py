"""Generic views; permissions by membership, read before the thing, as DRF's `get_queryset` chapter shows."""

from django.shortcuts import get_object_or_404
from rest_framework import generics
from rest_framework.exceptions import PermissionDenied

from tracker.models import Member, Project, Task
from tracker.serializers import ProjectSerializer, TaskSerializer

READING = {"GET", "HEAD", "OPTIONS"}


class ProjectDetail(generics.RetrieveAPIView):
    serializer_class = ProjectSerializer

    def get_queryset(self):
        return Project.objects.filter(member__user=self.request.user)


class TaskList(generics.ListCreateAPIView):
    serializer_class = TaskSerializer

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        member = get_object_or_404(Member, project_id=self.kwargs["project_id"], user=request.user)
        if request.method not in READING and member.role == "viewer":
            raise PermissionDenied

    def get_queryset(self):
        return Task.objects.filter(project_id=self.kwargs["project_id"])

    def perform_create(self, serializer):
        serializer.save(project_id=self.kwargs["project_id"])


class TaskDetail(generics.RetrieveUpdateDestroyAPIView):
    serializer_class = TaskSerializer

    def get_queryset(self):
        return Task.objects.filter(project__member__user=self.request.user)

    def check_object_permissions(self, request, obj):
        super().check_object_permissions(request, obj)
        if request.method not in READING:
            role = Member.objects.values_list("role", flat=True).get(project_id=obj.project_id, user=request.user)
            if role == "viewer":
                raise PermissionDenied

    def perform_update(self, serializer):
        task = serializer.save()
        # A trigger sets it.
        task.refresh_from_db(fields=["updated_at"])
