-- What wrk sends, told by environment variables, and what it prints at the end: one line of JSON.
--
-- Ids are made from a counter, so that every contender meets the same rows in the same order. One wrk thread only.

local function number(name) return tonumber(os.getenv(name)) end

local operation = os.getenv("OPERATION")
local start = number("START")
local projects = number("PROJECTS")
local tasks = number("TASKS")
local target = os.getenv("TARGET")
local credentials = {}
for body in string.gmatch(os.getenv("LOGINS") or "", "[^\n]+") do credentials[#credentials + 1] = body end

local reading = { ["Authorization"] = os.getenv("AUTHORIZATION") }
local writing = { ["Authorization"] = os.getenv("AUTHORIZATION"), ["Content-Type"] = "application/json" }
local signing_in = { ["Content-Type"] = os.getenv("LOGIN_TYPE") }

-- Prime, so that neighbours in time are no neighbours in the table.
local STRIDE = 7919

local function project(n) return string.format("01980000-0000-7000-8000-%012x", n) end
local function task(n) return string.format("01990000-0000-7000-8000-%012x", n) end
-- Projects are numbered from 1; the tasks of project p are p * 1000000 + 1 and so on.
local function small_project(n) return project(n * 37 % projects + 1) end
local function small_task(n)
  local m = n * STRIDE % (projects * tasks)
  return task((m % projects + 1) * 1000000 + math.floor(m / projects) + 1)
end
-- Every third task is completed already; these are the others.
local open_tasks = tasks - math.floor(tasks / 3)
local function open_task(n)
  local m = n * STRIDE % (projects * open_tasks)
  local k = math.floor(m / projects)
  return task((m % projects + 1) * 1000000 + math.floor(k / 2) * 3 + k % 2 + 1)
end

local function list(id, query) return wrk.format("GET", "/api/v1/projects/" .. id .. "/tasks/" .. query, reading) end
local function create(id, n, headers)
  local body = string.format(
    '{"title":"Benchmark task %d","description":"Made while measuring","priority":%d,"due_date":"2027-01-31"}', n, n % 10)
  return wrk.format("POST", "/api/v1/projects/" .. id .. "/tasks/", headers or writing, body)
end
local function batch(id)
  local parts = {}
  for n = 1, number("BATCH") do
    parts[n] = string.format('{"op":"create","task":{"title":"Benchmark task %d","description":"Made while measuring",' ..
      '"priority":%d,"due_date":"2027-01-31"}}', n, n % 10)
  end
  local body = '{"operations":[' .. table.concat(parts, ",") .. "]}"
  return wrk.format("POST", "/api/v1/projects/" .. id .. "/tasks/batch", writing, body)
end
local function patch(id, body, headers) return wrk.format("PATCH", "/api/v1/tasks/" .. id, headers or writing, body) end
local function change(n) return string.format('{"title":"Updated task %d"}', n) end
local function with(headers, name, value)
  local more = { [name] = value }
  for key, one in pairs(headers) do more[key] = one end
  return more
end
local unchanged, matched = with(reading, "If-None-Match", "*"), with(writing, "If-Match", "*")

local zipped = { ["Accept-Encoding"] = "gzip" }

local make = {
  read = function(n) return wrk.format("GET", "/api/v1/projects/" .. small_project(n), reading) end,
  list = function(n) return list(small_project(n), "?page=1&size=50") end,
  page = function() return list(project(number("PROJECT")), target) end,
  create = function(n) return create(small_project(n), n) end,
  batch = function(n) return batch(small_project(n)) end,
  update = function(n) return patch(small_task(n), change(n)) end,
  complete = function(n) return patch(open_task(n), '{"completed":true}') end,
  delete = function(n)
    return wrk.format("DELETE", "/api/v1/tasks/" .. string.format("019a0000-0000-7000-8000-%012x", n), reading)
  end,
  login = function(n)
    return wrk.format("POST", "/api/v1/auth/login", signing_in, credentials[n % #credentials + 1])
  end,
  unchanged = function(n) return wrk.format("GET", "/api/v1/projects/" .. small_project(n), unchanged) end,
  matched = function(n) return patch(small_task(n), change(n), matched) end,
  keyed = function(n) return create(small_project(n), n, with(writing, "Idempotency-Key", "benchmark-" .. n)) end,
  asked = function(n) return list(small_project(n), target) end,
  mine = function() return wrk.format("GET", "/api/v1/tasks/?assignee_id=me&completed=false", reading) end,
  of_task = function() return wrk.format("GET", "/api/v1/tasks/" .. task(number("PROJECT") * 1000000 + 1) .. target, reading) end,
  summary = function(n) return wrk.format("GET", "/api/v1/projects/" .. small_project(n) .. "/summary", reading) end,
  missing = function(n) return wrk.format("GET", "/api/v1/projects/" .. small_task(n), reading) end,
  anonymous = function(n) return wrk.format("GET", "/api/v1/projects/" .. small_project(n), {}) end,
  openapi = function() return wrk.format("GET", "/openapi.json", zipped) end,
  docs = function() return wrk.format("GET", "/docs", zipped) end,
  one = function(n) return create(project(1), n) end,
  many = function(n) return create(project(n % 16 + 1), n) end,
  mix = function(n)
    local turn = n % 20
    if turn == 7 then return create(small_project(n), n) end
    if turn == 17 then return patch(small_task(n), change(n)) end
    if turn % 5 == 1 then return wrk.format("GET", "/api/v1/projects/" .. small_project(n), reading) end
    return list(small_project(n), "?page=1&size=50")
  end,
}

make.beside = function(n)
  if n % 3 == 0 then return make.login(n) end
  if n % 3 == 1 then return list(small_project(n), "?page=1&size=50&q=wh") end
  return make.batch(n)
end

local counter = start
local maker = make[operation]
-- Milliseconds between an answer and the next request of a connection; at random, so that these do not come together.
local pause = number("PAUSE")
if pause > 0 then
  function delay() return math.random(0, 2 * pause) end
end

function request()
  counter = counter + 1
  return maker(counter)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"mean":%.1f,"failed":%d,"status":%d,"timeout":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.mean,
    errors.connect + errors.read + errors.write, errors.status, errors.timeout))
end
