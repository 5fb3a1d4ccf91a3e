"""Litestar with its own SQLAlchemy plugin (Advanced Alchemy), its JWT and msgspec, as its documentation shows.

Services and repositories from Advanced Alchemy's Litestar chapter, `JWTAuth` with `retrieve_user_handler` from the JWT
chapter, schemas as msgspec structs, which its documentation calls the fastest.
"""

import os
from datetime import date, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from advanced_alchemy.extensions.litestar import (
    AsyncSessionConfig,
    EngineConfig,
    SQLAlchemyAsyncConfig,
    SQLAlchemyPlugin,
)
from advanced_alchemy.filters import LimitOffset
from advanced_alchemy.repository import SQLAlchemyAsyncRepository
from advanced_alchemy.service import SQLAlchemyAsyncRepositoryService
from anyio import to_thread
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from litestar import Litestar, Request, Router, delete, get, patch, post
from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException, NotFoundException, PermissionDeniedException
from litestar.params import Parameter
from litestar.security.jwt import JWTAuth, Token
from sqlalchemy import DateTime, FetchedValue, ForeignKey, Text, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from uuid_v7 import uuid7

hasher = PasswordHasher()


class Base(DeclarativeBase):
    """The tables are Taller's, made by its migrations."""

    type_annotation_map = {datetime: DateTime(timezone=True), str: Text}


class User(Base):
    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    username: Mapped[str]
    hashed_password: Mapped[str]
    is_active: Mapped[bool]


class Project(Base):
    __tablename__ = "projects"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    name: Mapped[str]
    description: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())
    updated_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())


class Member(Base):
    __tablename__ = "project_members"

    project_id: Mapped[UUID] = mapped_column(ForeignKey(Project.id), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id), primary_key=True)
    role: Mapped[str]


class Task(Base):
    __tablename__ = "tasks"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    project_id: Mapped[UUID] = mapped_column(ForeignKey(Project.id))
    title: Mapped[str]
    description: Mapped[str | None]
    priority: Mapped[int]
    completed: Mapped[bool]
    due_date: Mapped[date | None]
    created_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())
    # Fetched with the UPDATE's RETURNING, which saves a statement.
    updated_at: Mapped[datetime] = mapped_column(server_default=FetchedValue(), server_onupdate=FetchedValue())

    __mapper_args__ = {"eager_defaults": True}


class ProjectRead(msgspec.Struct):
    id: UUID
    name: str
    description: str | None
    created_at: datetime
    updated_at: datetime


class TaskRead(msgspec.Struct):
    id: UUID
    project_id: UUID
    title: str
    description: str | None
    priority: int
    completed: bool
    due_date: date | None
    created_at: datetime
    updated_at: datetime


class TaskPage(msgspec.Struct):
    items: list[TaskRead]
    total: int
    page: int
    size: int
    pages: int


Title = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
Description = Annotated[str, msgspec.Meta(max_length=10_000)]


class TaskCreate(msgspec.Struct, forbid_unknown_fields=True):
    title: Title
    description: Description | None = None
    priority: int = 0
    completed: bool = False
    due_date: date | None = None


class TaskUpdate(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    title: Title | msgspec.UnsetType = msgspec.UNSET
    description: Description | None | msgspec.UnsetType = msgspec.UNSET
    priority: int | msgspec.UnsetType = msgspec.UNSET
    completed: bool | msgspec.UnsetType = msgspec.UNSET
    due_date: date | None | msgspec.UnsetType = msgspec.UNSET


class Credentials(msgspec.Struct):
    username: str
    password: str


class TaskService(SQLAlchemyAsyncRepositoryService[Task]):
    class Repo(SQLAlchemyAsyncRepository[Task]):
        model_type = Task

    repository_type = Repo


alchemy_config = SQLAlchemyAsyncConfig(
    connection_string="postgresql+asyncpg://",
    engine_config=EngineConfig(pool_size=int(os.environ["POOL_SIZE"]), max_overflow=0),
    session_config=AsyncSessionConfig(expire_on_commit=False),
    before_send_handler="autocommit",
)


async def retrieve_user_handler(token: Token, connection: ASGIConnection[Any, Any, Any, Any]) -> User | None:
    session = alchemy_config.provide_session(connection.app.state, connection.scope)
    return await session.scalar(select(User).where(User.id == UUID(token.sub), User.is_active))


jwt_auth = JWTAuth[User](
    retrieve_user_handler=retrieve_user_handler,
    token_secret=os.environ["JWT_SECRET"],
    default_token_expiration=timedelta(hours=1),
    exclude=["/auth/login", "/schema"],
)


async def project_of_member(session: AsyncSession, user: User, project_id: UUID, *, to_edit: bool = False) -> Project:
    """The project, if this person may see it, or change its tasks."""
    found = await session.execute(
        select(Project, Member.role).join(Member).where(Project.id == project_id, Member.user_id == user.id)
    )
    row = found.one_or_none()
    if row is None:
        raise NotFoundException
    if to_edit and row.role == "viewer":
        raise PermissionDeniedException
    return row.Project


async def task_of_editor(session: AsyncSession, user: User, task_id: UUID) -> Task:
    """The task, if this person may change it."""
    found = await session.execute(
        select(Task, Member.role)
        .join(Member, Member.project_id == Task.project_id)
        .where(Task.id == task_id, Member.user_id == user.id)
    )
    row = found.one_or_none()
    if row is None:
        raise NotFoundException
    if row.role == "viewer":
        raise PermissionDeniedException
    return row.Task


def task_read(task: Task) -> TaskRead:
    return msgspec.convert(task, TaskRead, from_attributes=True)


@post("/auth/login", status_code=200)
async def login(data: Credentials, db_session: AsyncSession) -> dict[str, str]:
    user = await db_session.scalar(select(User).where(func.lower(User.username) == data.username.lower()))
    if user is None or not user.is_active:
        raise NotAuthorizedException
    try:
        await to_thread.run_sync(hasher.verify, user.hashed_password, data.password)
    except VerifyMismatchError:
        raise NotAuthorizedException from None
    return {"access_token": jwt_auth.create_token(identifier=str(user.id)), "token_type": "bearer"}


@get("/projects/{project_id:uuid}")
async def read_project(project_id: UUID, request: Request[User, Token, Any], db_session: AsyncSession) -> ProjectRead:
    project = await project_of_member(db_session, request.user, project_id)
    return msgspec.convert(project, ProjectRead, from_attributes=True)


@get("/projects/{project_id:uuid}/tasks")
async def list_tasks(
    project_id: UUID,
    request: Request[User, Token, Any],
    db_session: AsyncSession,
    page: Annotated[int, Parameter(ge=1)] = 1,
    size: Annotated[int, Parameter(ge=1, le=100)] = 50,
) -> TaskPage:
    await project_of_member(db_session, request.user, project_id)
    service = TaskService(session=db_session)
    tasks, total = await service.get_many_and_count(
        Task.project_id == project_id,
        LimitOffset(limit=size, offset=size * (page - 1)),
        order_by=[("priority", True), ("id", True)],
        # The window function, which is the default, makes every page of a large project cost a second.
        count_with_window_function=False,
    )
    return TaskPage([task_read(task) for task in tasks], total, page, size, -(-total // size))


@post("/projects/{project_id:uuid}/tasks")
async def create_task(
    project_id: UUID, data: TaskCreate, request: Request[User, Token, Any], db_session: AsyncSession
) -> TaskRead:
    await project_of_member(db_session, request.user, project_id, to_edit=True)
    task = await TaskService(session=db_session).create({"project_id": project_id, **msgspec.structs.asdict(data)})
    return task_read(task)


@patch("/tasks/{task_id:uuid}")
async def update_task(
    task_id: UUID, data: TaskUpdate, request: Request[User, Token, Any], db_session: AsyncSession
) -> TaskRead:
    task = await task_of_editor(db_session, request.user, task_id)
    for name, value in msgspec.structs.asdict(data).items():
        if value is not msgspec.UNSET:
            setattr(task, name, value)
    await db_session.flush()
    return task_read(task)


@delete("/tasks/{task_id:uuid}")
async def delete_task(task_id: UUID, request: Request[User, Token, Any], db_session: AsyncSession) -> None:
    task = await task_of_editor(db_session, request.user, task_id)
    await db_session.delete(task)


app = Litestar(
    route_handlers=[
        Router("/api/v1", route_handlers=[login, read_project, list_tasks, create_task, update_task, delete_task])
    ],
    on_app_init=[jwt_auth.on_app_init],
    plugins=[SQLAlchemyPlugin(config=alchemy_config)],
    openapi_config=None,
)
