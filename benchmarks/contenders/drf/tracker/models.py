"""Taller's tables; its migrations make them, so Django's do not."""

import uuid

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models.functions import Lower, Now
from uuid_v7 import uuid7


class UserManager(BaseUserManager):
    def get_by_natural_key(self, username):
        # The index of the table is on lower(username).
        return self.annotate(lowered=Lower("username")).get(lowered=username.lower())


class User(AbstractBaseUser):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    username = models.TextField(unique=True)
    password = models.TextField(db_column="hashed_password")
    is_active = models.BooleanField(default=True)
    last_login = None

    USERNAME_FIELD = "username"
    objects = UserManager()

    class Meta:
        db_table = "users"
        managed = False


class Project(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid7)
    name = models.TextField()
    description = models.TextField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())
    members = models.ManyToManyField(User, through="Member")

    class Meta:
        db_table = "projects"
        managed = False


class Member(models.Model):
    pk = models.CompositePrimaryKey("project_id", "user_id")
    project = models.ForeignKey(Project, on_delete=models.CASCADE)
    user = models.ForeignKey(User, on_delete=models.CASCADE)
    role = models.TextField()

    class Meta:
        db_table = "project_members"
        managed = False


class Task(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid7)
    project = models.ForeignKey(Project, on_delete=models.DO_NOTHING, db_index=False)
    title = models.TextField(max_length=500)
    description = models.TextField(null=True, max_length=10_000)
    priority = models.IntegerField(default=0)
    completed = models.BooleanField(default=False)
    due_date = models.DateField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "tasks"
        managed = False
        ordering = ["-priority", "-id"]
