// The README's tour by openapi-generator's client on the JDK's HttpClient: `java Tour ADDRESS`.
import java.net.http.HttpRequest;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.UUID;
import java.util.function.Consumer;
import taller.ApiClient;
import taller.ApiException;
import taller.api.AuthApi;
import taller.api.ProjectsApi;
import taller.api.TasksApi;
import taller.api.UsersApi;
import taller.model.ApiKeyCreate;
import taller.model.ApiKeyIssued;
import taller.model.CreateOperation;
import taller.model.Credentials;
import taller.model.MemberRead;
import taller.model.MemberSet;
import taller.model.OperationResult;
import taller.model.Problem;
import taller.model.ProjectCreate;
import taller.model.ProjectRead;
import taller.model.Refresh;
import taller.model.Registration;
import taller.model.Role;
import taller.model.Scope;
import taller.model.TaskBatch;
import taller.model.TaskChanges;
import taller.model.TaskCreate;
import taller.model.TaskOperation;
import taller.model.TaskPage;
import taller.model.TaskRead;
import taller.model.TaskUpdate;
import taller.model.Tokens;
import taller.model.UpdateOperation;

public class Tour {
  static String address;

  interface Call {
    Object send() throws ApiException;
  }

  static ApiClient client(Consumer<HttpRequest.Builder> sign) {
    ApiClient client = new ApiClient();
    client.updateBaseUri(address);
    client.setRequestInterceptor(sign);
    return client;
  }

  static ApiClient signedIn(String token) {
    return client(request -> request.header("Authorization", "Bearer " + token));
  }

  static void same(Object actual, Object expected) {
    if (!Objects.equals(actual, expected)) throw new AssertionError(actual + " instead of " + expected);
  }

  static Problem refused(int status, String code, Call call) throws Exception {
    try {
      throw new AssertionError(call.send() + " instead of a problem");
    } catch (ApiException refusal) {
      Problem problem = ApiClient.createDefaultObjectMapper().readValue(refusal.getResponseBody(), Problem.class);
      same(Arrays.asList(refusal.getCode(), problem.getStatus(), problem.getCode()), Arrays.asList(status, status, code));
      return problem;
    }
  }

  static List<String> titles(TaskPage page) {
    return page.getItems().stream().map(TaskRead::getTitle).toList();
  }

  // A list has 29 parameters: by their names, not by their places.
  static TasksApi.APIListTasksRequest.Builder listed(UUID project) {
    return TasksApi.APIListTasksRequest.newBuilder().projectId(project);
  }

  static TaskOperation create(String title) {
    return new TaskOperation(new CreateOperation().op(CreateOperation.OpEnum.CREATE).task(new TaskCreate().title(title)));
  }

  public static void main(String[] arguments) throws Exception {
    address = arguments[0];
    AuthApi anonymous = new AuthApi(client(request -> {}));

    // Signing in.
    Tokens tokens = anonymous.login(new Credentials().username("admin").password("1234"));
    ApiClient admin = signedIn(tokens.getAccessToken());
    ProjectsApi projects = new ProjectsApi(admin);
    TasksApi tasks = new TasksApi(admin);

    // A project, once, however often it is sent.
    ProjectCreate workshop = new ProjectCreate().name("Workshop");
    ProjectRead project = projects.createProject(workshop, "openapi-generator");
    same(projects.createProject(workshop, "openapi-generator"), project);
    UUID id = project.getId();
    same(projects.readProject(id, null, null), project);
    same(Arrays.asList(project.getName(), project.getRole(), project.getTasksTotal()), Arrays.asList("Workshop", Role.OWNER, 0));

    // Tasks.
    LocalDate december = LocalDate.of(2026, 12, 1);
    tasks.createTask(id, new TaskCreate().title("Sweep the floor"), null);
    tasks.createTask(id, new TaskCreate().title("Sharpen the chisels").priority(5), null);
    TaskRead task = tasks.createTask(id, new TaskCreate().title("Buy a workbench").priority(10).dueDate(december), null);
    same(task.getDueDate(), december);

    // Listed by priority, page by page, and by cursor.
    TaskPage first = tasks.listTasks(listed(id).page(1).size(2).build());
    same(titles(first), List.of("Buy a workbench", "Sharpen the chisels"));
    same(List.of(first.getPage(), first.getPages(), first.getTotal()), List.of(1, 2, 3));
    same(titles(tasks.listTasks(listed(id).page(2).size(2).build())), List.of("Sweep the floor"));

    List<List<String>> found = new ArrayList<>();
    for (String cursor = ""; cursor != null; ) {
      TaskPage page = tasks.listTasks(listed(id).cursor(cursor).size(2).build());
      found.add(titles(page));
      cursor = page.getNextCursor();
    }
    same(found, List.of(List.of("Buy a workbench", "Sharpen the chisels"), List.of("Sweep the floor")));

    // Sorted, filtered.
    same(
        titles(tasks.listTasks(listed(id).sort("-title").build())),
        List.of("Sweep the floor", "Sharpen the chisels", "Buy a workbench"));
    same(
        titles(tasks.listTasks(listed(id).priorityGte(5).dueDateIsNull(true).build())),
        List.of("Sharpen the chisels"));
    // The clock of this machine says nanoseconds.
    OffsetDateTime soon = OffsetDateTime.now().plusHours(1);
    same(
        titles(tasks.listTasks(
            listed(id).dueDate(december).createdAtGte(task.getCreatedAt()).createdAtLt(soon).build())),
        List.of("Buy a workbench"));

    // A change leaves everything else as it is; the tag that it was sent with is a condition.
    TaskRead changed = tasks.updateTask(task.getId(), new TaskUpdate().completed(true), task.getEtag(), null);
    same(
        List.of(changed.getCompleted(), changed.getPriority(), changed.getDueDate()),
        List.of(true, 10, december));
    refused(412, "precondition_failed",
        () -> tasks.updateTask(task.getId(), new TaskUpdate().completed(false), task.getEtag(), null));
    TaskRead cleared = tasks.patchTask(task.getId(), new TaskUpdate().dueDate(null), null, null, null);
    same(Arrays.asList(cleared.getCompleted(), cleared.getDueDate()), Arrays.asList(true, null));

    // Several at once.
    UpdateOperation update = new UpdateOperation()
        .op(UpdateOperation.OpEnum.UPDATE)
        .id(task.getId())
        .changes(new TaskChanges().dueDate(december))
        .ifMatch(cleared.getEtag());
    TaskBatch batch = new TaskBatch().operations(List.of(create("Sort the screws"), new TaskOperation(update)));
    List<OperationResult> results = tasks.batchTasks(id, batch, null).getResults();
    same(
        List.of(results.get(0).getStatus(), results.get(1).getStatus(), results.get(1).getTask().getDueDate()),
        List.of(201, 200, december));
    same(tasks.deleteTaskWithHttpInfo(results.get(0).getTask().getId(), null, null).getStatusCode(), 204);

    // An error. The type would not let a word be sent for a priority.
    Problem problem = refused(400, "invalid_request", () -> tasks.updateTask(task.getId(), new TaskUpdate().title(" "), null, null));
    same(problem.getType().toString(), "/problems/invalid_request");
    same(
        List.of(problem.getErrors().size(), problem.getErrors().get(0).getPointer(), problem.getErrors().get(0).getCode()),
        List.of(1, "/title", "blank"));

    // Sharing.
    same(anonymous.register(new Registration().username("ana").password("correct horse battery")).getUsername(), "ana");
    UUID ana = new UsersApi(admin).readPerson("ana").getId();
    MemberRead member = projects.setMember(id, ana, new MemberSet().role(Role.EDITOR));
    same(List.of(member.getUsername(), member.getRole()), List.of("ana", Role.EDITOR));
    Credentials hers = new Credentials().username("ana").password("correct horse battery");
    ApiClient client = signedIn(anonymous.login(hers).getAccessToken());
    List<ProjectRead> shared =
        new ProjectsApi(client).listProjects(ProjectsApi.APIListProjectsRequest.newBuilder().build()).getItems();
    ProjectRead hersToo = shared.get(0);
    same(
        List.of(shared.size(), hersToo.getName(), hersToo.getRole(), hersToo.getTasksTotal(), hersToo.getTasksCompleted()),
        List.of(1, "Workshop", Role.EDITOR, 3, 1));
    new TasksApi(client).createTask(id, new TaskCreate().title("Oil the bench").priority(7), null);

    // An API key.
    ApiKeyCreate report = new ApiKeyCreate().name("nightly report").scopes(List.of(Scope.TASKS_READ)).expiresAt(soon);
    ApiKeyIssued issued = new AuthApi(admin).createApiKey(report);
    same(issued.getExpiresAt().toInstant(), soon.toInstant().truncatedTo(ChronoUnit.MICROS));
    String secret = issued.getSecret();
    TasksApi program = new TasksApi(client(request -> request.header("X-API-Key", secret)));
    same(
        titles(program.listVisibleTasks(
            TasksApi.APIListVisibleTasksRequest.newBuilder().size(3).projectId(List.of(id)).build())),
        List.of("Buy a workbench", "Oil the bench", "Sharpen the chisels"));
    refused(403, "insufficient_scope", () -> program.deleteTaskWithHttpInfo(task.getId(), null, null));

    // Staying, and leaving.
    Tokens renewed = anonymous.refreshTokens(new Refresh().refreshToken(tokens.getRefreshToken()));
    ApiClient again = signedIn(renewed.getAccessToken());
    same(new AuthApi(again).logoutWithHttpInfo().getStatusCode(), 204);
    refused(401, "invalid_token",
        () -> new ProjectsApi(again).listProjects(ProjectsApi.APIListProjectsRequest.newBuilder().build()));
  }
}
