// Fastify with pg and @fastify/jwt, after their documentation: schemas for bodies, parameters and answers (which
// fast-json-stringify compiles), named statements, which pg prepares once per connection, and one pool.

import { randomBytes } from 'node:crypto'
import { verify } from '@node-rs/argon2'
import fastifyJwt from '@fastify/jwt'
import Fastify from 'fastify'
import pg from 'pg'

// As text: JavaScript's dates have no microseconds, and everybody answers the same JSON.
pg.types.setTypeParser(pg.types.builtins.DATE, (text) => text)
pg.types.setTypeParser(pg.types.builtins.TIMESTAMPTZ, (text) => text.replace(' ', 'T').replace('+00', 'Z'))
pg.types.setTypeParser(pg.types.builtins.INT8, Number)

const pool = new pg.Pool({ max: Number(process.env.POOL_SIZE), min: Number(process.env.POOL_SIZE), idleTimeoutMillis: 0, options: '-c timezone=UTC' })
const app = Fastify({ logger: false })
app.register(fastifyJwt, { secret: process.env.JWT_SECRET, sign: { expiresIn: '1h' } })

const PROJECT = 'p.id, p.name, p.description, p.created_at, p.updated_at'
const TASK = 'id, project_id, title, description, priority, completed, due_date, created_at, updated_at'
const CHANGEABLE = ['title', 'description', 'priority', 'completed', 'due_date']

const uuid = { type: 'string', format: 'uuid' }
const nullable = { type: 'string', nullable: true }
const projectSchema = {
  type: 'object',
  properties: { id: { type: 'string' }, name: { type: 'string' }, description: nullable, created_at: { type: 'string' }, updated_at: { type: 'string' } },
}
const taskSchema = {
  type: 'object',
  properties: {
    id: { type: 'string' },
    project_id: { type: 'string' },
    title: { type: 'string' },
    description: nullable,
    priority: { type: 'integer' },
    completed: { type: 'boolean' },
    due_date: nullable,
    created_at: { type: 'string' },
    updated_at: { type: 'string' },
  },
}
const pageSchema = {
  type: 'object',
  properties: {
    items: { type: 'array', items: taskSchema },
    total: { type: 'integer' },
    page: { type: 'integer' },
    size: { type: 'integer' },
    pages: { type: 'integer' },
  },
}
const changes = {
  title: { type: 'string', minLength: 1, maxLength: 500 },
  description: { type: 'string', nullable: true, maxLength: 10000 },
  priority: { type: 'integer' },
  completed: { type: 'boolean' },
  due_date: { type: 'string', format: 'date', nullable: true },
}
const projectParams = { type: 'object', properties: { projectId: uuid } }
const taskParams = { type: 'object', properties: { taskId: uuid } }

function refuse (statusCode, message) {
  return Object.assign(new Error(message), { statusCode })
}

function uuid7 () {
  const bytes = randomBytes(16)
  bytes.writeUIntBE(Date.now(), 0, 6)
  bytes[6] = (bytes[6] & 0x0f) | 0x70
  bytes[8] = (bytes[8] & 0x3f) | 0x80
  const hex = bytes.toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

async function authenticate (request) {
  await request.jwtVerify()
  const { rows } = await pool.query({ name: 'user', text: 'SELECT id FROM users WHERE id = $1 AND is_active', values: [request.user.sub] })
  if (rows.length === 0) throw refuse(401, 'Unauthorized')
}

async function memberOf (request) {
  const { rows } = await pool.query({
    name: 'role',
    text: 'SELECT role FROM project_members WHERE project_id = $1 AND user_id = $2',
    values: [request.params.projectId, request.user.sub],
  })
  if (rows.length === 0) throw refuse(404, 'Project not found')
  if (request.method !== 'GET' && rows[0].role === 'viewer') throw refuse(403, 'You may only read')
}

async function editorOf (request) {
  const { rows } = await pool.query({
    name: 'task-role',
    text: 'SELECT m.role FROM tasks t JOIN project_members m ON m.project_id = t.project_id WHERE t.id = $1 AND m.user_id = $2',
    values: [request.params.taskId, request.user.sub],
  })
  if (rows.length === 0) throw refuse(404, 'Task not found')
  if (rows[0].role === 'viewer') throw refuse(403, 'You may only read')
}

app.get('/api/v1/projects/:projectId', {
  schema: { params: projectParams, response: { 200: projectSchema } },
  onRequest: authenticate,
}, async (request) => {
  const { rows } = await pool.query({
    name: 'project',
    text: `SELECT ${PROJECT} FROM projects p JOIN project_members m ON m.project_id = p.id WHERE p.id = $1 AND m.user_id = $2`,
    values: [request.params.projectId, request.user.sub],
  })
  if (rows.length === 0) throw refuse(404, 'Project not found')
  return rows[0]
})

app.get('/api/v1/projects/:projectId/tasks/', {
  schema: {
    params: projectParams,
    querystring: {
      type: 'object',
      properties: { page: { type: 'integer', minimum: 1, default: 1 }, size: { type: 'integer', minimum: 1, maximum: 100, default: 50 } },
    },
    response: { 200: pageSchema },
  },
  onRequest: authenticate,
  preHandler: memberOf,
}, async (request) => {
  const { page, size } = request.query
  const { projectId } = request.params
  const [count, tasks] = await Promise.all([
    pool.query({ name: 'count', text: 'SELECT count(*) AS total FROM tasks WHERE project_id = $1', values: [projectId] }),
    pool.query({
      name: 'tasks',
      text: `SELECT ${TASK} FROM tasks WHERE project_id = $1 ORDER BY priority DESC, id DESC LIMIT $2 OFFSET $3`,
      values: [projectId, size, size * (page - 1)],
    }),
  ])
  const { total } = count.rows[0]
  return { items: tasks.rows, total, page, size, pages: Math.ceil(total / size) }
})

app.post('/api/v1/projects/:projectId/tasks/', {
  schema: {
    params: projectParams,
    body: { type: 'object', properties: changes, required: ['title'], additionalProperties: false },
    response: { 201: taskSchema },
  },
  onRequest: authenticate,
  preHandler: memberOf,
}, async (request, reply) => {
  const { title, description = null, priority = 0, completed = false, due_date: due = null } = request.body
  const { rows } = await pool.query({
    name: 'create',
    text: `INSERT INTO tasks (id, project_id, title, description, priority, completed, due_date) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING ${TASK}`,
    values: [uuid7(), request.params.projectId, title, description, priority, completed, due],
  })
  reply.code(201)
  return rows[0]
})

app.patch('/api/v1/tasks/:taskId', {
  schema: {
    params: taskParams,
    body: { type: 'object', properties: changes, minProperties: 1, additionalProperties: false },
    response: { 200: taskSchema },
  },
  onRequest: authenticate,
  preHandler: editorOf,
}, async (request) => {
  const names = CHANGEABLE.filter((name) => name in request.body)
  const { rows } = await pool.query({
    name: `update ${names}`,
    text: `UPDATE tasks SET ${names.map((name, index) => `${name} = $${index + 2}`)} WHERE id = $1 RETURNING ${TASK}`,
    values: [request.params.taskId, ...names.map((name) => request.body[name])],
  })
  if (rows.length === 0) throw refuse(404, 'Task not found')
  return rows[0]
})

app.delete('/api/v1/tasks/:taskId', {
  schema: { params: taskParams },
  onRequest: authenticate,
  preHandler: editorOf,
}, async (request, reply) => {
  await pool.query({ name: 'delete', text: 'DELETE FROM tasks WHERE id = $1', values: [request.params.taskId] })
  reply.code(204)
})

app.post('/api/v1/auth/login', {
  schema: {
    body: {
      type: 'object',
      properties: { username: { type: 'string' }, password: { type: 'string' } },
      required: ['username', 'password'],
    },
  },
}, async (request) => {
  const { rows } = await pool.query({
    name: 'login',
    text: 'SELECT id, hashed_password FROM users WHERE lower(username) = lower($1) AND is_active',
    values: [request.body.username],
  })
  if (rows.length === 0 || !(await verify(rows[0].hashed_password, request.body.password))) throw refuse(401, 'Unauthorized')
  return { access_token: app.jwt.sign({ sub: rows[0].id }), token_type: 'bearer' }
})

process.on('SIGTERM', async () => {
  await app.close()
  await pool.end()
})
await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) })
