"""The textbook: FastAPI, fastapi-users, fastapi-pagination and the ORM, wired as their documentation shows.

Followed page by page: fastapi-users' "Full example" for SQLAlchemy (bearer transport, JWT strategy), fastapi-pagination's
"SQLAlchemy" (`apaginate`, `add_pagination`), FastAPI's "Dependencies with yield". Permissions as one would write them
next: the membership is read first, then the thing.
"""

import os
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import date, datetime

from fastapi import APIRouter, Depends, FastAPI, HTTPException
from fastapi_pagination import Page, add_pagination
from fastapi_pagination.ext.sqlalchemy import apaginate
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin
from fastapi_users.authentication import AuthenticationBackend, BearerTransport, JWTStrategy
from fastapi_users_db_sqlalchemy import SQLAlchemyUserDatabase
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import DateTime, ForeignKey, FetchedValue, Text, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from uuid_v7 import uuid7

SECRET = os.environ["JWT_SECRET"]

engine = create_async_engine("postgresql+asyncpg://", pool_size=int(os.environ["POOL_SIZE"]), max_overflow=0)
async_session_maker = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    """The tables are Taller's, made by its migrations."""

    type_annotation_map = {datetime: DateTime(timezone=True), str: Text}


class User(Base):
    """SQLAlchemyBaseUserTableUUID with the columns that the table has; e-mail addresses are all verified."""

    __tablename__ = "users"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    email: Mapped[str]
    hashed_password: Mapped[str]
    is_active: Mapped[bool]
    is_superuser: Mapped[bool]
    is_verified = True


class Project(Base):
    __tablename__ = "projects"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    name: Mapped[str]
    description: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())
    updated_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())


class Member(Base):
    __tablename__ = "project_members"

    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Project.id), primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(User.id), primary_key=True)
    role: Mapped[str]


class Task(Base):
    __tablename__ = "tasks"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Project.id))
    title: Mapped[str]
    description: Mapped[str | None]
    priority: Mapped[int]
    completed: Mapped[bool]
    due_date: Mapped[date | None]
    created_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())
    updated_at: Mapped[datetime] = mapped_column(server_default=FetchedValue(), server_onupdate=FetchedValue())


class ProjectRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    name: str
    description: str | None
    created_at: datetime
    updated_at: datetime


class TaskCreate(BaseModel):
    title: str = Field(min_length=1, max_length=500)
    description: str | None = Field(default=None, max_length=10_000)
    priority: int = 0
    completed: bool = False
    due_date: date | None = None


class TaskUpdate(BaseModel):
    title: str = Field(default="", min_length=1, max_length=500)
    description: str | None = Field(default=None, max_length=10_000)
    priority: int = 0
    completed: bool = False
    due_date: date | None = None


class TaskRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    project_id: uuid.UUID
    title: str
    description: str | None
    priority: int
    completed: bool
    due_date: date | None
    created_at: datetime
    updated_at: datetime


async def get_async_session() -> AsyncGenerator[AsyncSession, None]:
    async with async_session_maker() as session:
        yield session


async def get_user_db(session: AsyncSession = Depends(get_async_session)):
    yield SQLAlchemyUserDatabase(session, User)


class UserManager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    reset_password_token_secret = SECRET
    verification_token_secret = SECRET


async def get_user_manager(user_db: SQLAlchemyUserDatabase = Depends(get_user_db)):
    yield UserManager(user_db)


bearer_transport = BearerTransport(tokenUrl="api/v1/auth/login")


def get_jwt_strategy() -> JWTStrategy:
    return JWTStrategy(secret=SECRET, lifetime_seconds=3600)


auth_backend = AuthenticationBackend(name="jwt", transport=bearer_transport, get_strategy=get_jwt_strategy)
fastapi_users = FastAPIUsers[User, uuid.UUID](get_user_manager, [auth_backend])
current_active_user = fastapi_users.current_user(active=True)

router = APIRouter(prefix="/api/v1")


async def project_of_member(
    project_id: uuid.UUID,
    user: User = Depends(current_active_user),
    session: AsyncSession = Depends(get_async_session),
) -> Project:
    """The project of the path, if the caller is a member."""
    project = await session.scalar(
        select(Project).join(Member).where(Project.id == project_id, Member.user_id == user.id)
    )
    if project is None:
        raise HTTPException(404, "Project not found")
    return project


async def project_of_editor(
    project_id: uuid.UUID,
    user: User = Depends(current_active_user),
    session: AsyncSession = Depends(get_async_session),
) -> Project:
    """The project of the path, if the caller may change its tasks."""
    found = await session.execute(
        select(Project, Member.role).join(Member).where(Project.id == project_id, Member.user_id == user.id)
    )
    row = found.one_or_none()
    if row is None:
        raise HTTPException(404, "Project not found")
    if row.role == "viewer":
        raise HTTPException(403, "You may only read")
    return row.Project


async def task_of_editor(
    task_id: uuid.UUID,
    user: User = Depends(current_active_user),
    session: AsyncSession = Depends(get_async_session),
) -> Task:
    """The task of the path, if the caller may change it."""
    found = await session.execute(
        select(Task, Member.role)
        .join(Member, Member.project_id == Task.project_id)
        .where(Task.id == task_id, Member.user_id == user.id)
    )
    row = found.one_or_none()
    if row is None:
        raise HTTPException(404, "Task not found")
    if row.role == "viewer":
        raise HTTPException(403, "You may only read")
    return row.Task


@router.get("/projects/{project_id}", response_model=ProjectRead)
async def read_project(project: Project = Depends(project_of_member)):
    return project


@router.get("/projects/{project_id}/tasks/", response_model=Page[TaskRead])
async def list_tasks(project: Project = Depends(project_of_member), session: AsyncSession = Depends(get_async_session)):
    return await apaginate(
        session, select(Task).where(Task.project_id == project.id).order_by(Task.priority.desc(), Task.id.desc())
    )


@router.post("/projects/{project_id}/tasks/", status_code=201, response_model=TaskRead)
async def create_task(
    new: TaskCreate,
    project: Project = Depends(project_of_editor),
    session: AsyncSession = Depends(get_async_session),
):
    task = Task(project_id=project.id, **new.model_dump())
    session.add(task)
    await session.commit()
    await session.refresh(task)
    return task


@router.patch("/tasks/{task_id}", response_model=TaskRead)
async def update_task(
    changes: TaskUpdate,
    task: Task = Depends(task_of_editor),
    session: AsyncSession = Depends(get_async_session),
):
    for name, value in changes.model_dump(exclude_unset=True).items():
        setattr(task, name, value)
    await session.commit()
    await session.refresh(task)
    return task


@router.delete("/tasks/{task_id}", status_code=204)
async def delete_task(task: Task = Depends(task_of_editor), session: AsyncSession = Depends(get_async_session)) -> None:
    await session.delete(task)
    await session.commit()


@asynccontextmanager
async def lifespan(_: FastAPI):
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)
app.include_router(fastapi_users.get_auth_router(auth_backend), prefix="/api/v1/auth", tags=["auth"])
app.include_router(router)
add_pagination(app)
