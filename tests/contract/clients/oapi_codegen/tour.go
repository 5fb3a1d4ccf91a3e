// The README's tour by oapi-codegen's client: `go run . ADDRESS`.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/oapi-codegen/nullable"
	"github.com/oapi-codegen/runtime/types"

	"tour/taller"
)

var ctx = context.Background()

func client(header, value string) *taller.ClientWithResponses {
	sign := func(_ context.Context, request *http.Request) error {
		request.Header.Set(header, value)
		return nil
	}
	return must(taller.NewClientWithResponses(os.Args[1], taller.WithRequestEditorFn(sign)))
}

func signedIn(token string) *taller.ClientWithResponses {
	return client("Authorization", "Bearer "+token)
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// What the document describes for the status that came; `body` says what came instead.
func answered[T any](value *T, body []byte) T {
	if value == nil {
		panic(string(body))
	}
	return *value
}

func same(actual, expected any) {
	if !reflect.DeepEqual(actual, expected) {
		panic(fmt.Sprintf("%v instead of %v", actual, expected))
	}
}

func refused(body []byte, status int, code string) taller.Problem {
	var found taller.Problem
	if err := json.Unmarshal(body, &found); err != nil {
		panic(err)
	}
	same([]any{found.Status, found.Code}, []any{status, code})
	return found
}

func titles(page taller.TaskPage) string {
	var found []string
	for _, item := range page.Items {
		found = append(found, item.Title)
	}
	return strings.Join(found, ", ")
}

func tokensOf(username, password string) taller.Tokens {
	answer := must(client("Accept", "application/json").LoginWithResponse(ctx, taller.Credentials{Username: username, Password: password}))
	return answered(answer.JSON200, answer.Body)
}

func main() {
	// Signing in.
	tokens := tokensOf("admin", "1234")
	admin := signedIn(tokens.AccessToken)

	// A project, once, however often it is sent.
	key := "oapi-codegen"
	create := func() taller.ProjectRead {
		answer := must(admin.CreateProjectWithResponse(ctx, &taller.CreateProjectParams{IdempotencyKey: &key}, taller.ProjectCreate{Name: "Workshop"}))
		return answered(answer.JSON201, answer.Body)
	}
	project := create()
	same(create(), project)
	read := must(admin.ReadProjectWithResponse(ctx, project.Id, nil))
	same(answered(read.JSON200, read.Body), project)
	same([]any{project.Name, project.Role.MustGet(), project.TasksTotal}, []any{"Workshop", taller.Owner, 0})

	// Tasks.
	add := func(caller *taller.ClientWithResponses, task taller.TaskCreate) taller.TaskRead {
		answer := must(caller.CreateTaskWithResponse(ctx, project.Id, nil, task))
		return answered(answer.JSON201, answer.Body)
	}
	five, seven, ten := 5, 7, 10
	december := types.Date{Time: time.Date(2026, time.December, 1, 0, 0, 0, 0, time.UTC)}
	add(admin, taller.TaskCreate{Title: "Sweep the floor"})
	add(admin, taller.TaskCreate{Title: "Sharpen the chisels", Priority: &five})
	task := add(admin, taller.TaskCreate{Title: "Buy a workbench", Priority: &ten, DueDate: nullable.NewNullableWithValue(december)})
	same(task.DueDate.MustGet(), december)

	// Listed by priority, page by page, and by cursor.
	list := func(params taller.ListTasksParams) taller.TaskPage {
		answer := must(admin.ListTasksWithResponse(ctx, project.Id, &params))
		return answered(answer.JSON200, answer.Body)
	}
	one, two := 1, 2
	first := list(taller.ListTasksParams{Page: &one, Size: &two})
	same(titles(first), "Buy a workbench, Sharpen the chisels")
	same([]any{first.Page.MustGet(), first.Pages.MustGet(), first.Total.MustGet()}, []any{1, 2, 3})
	same(titles(list(taller.ListTasksParams{Page: &two, Size: &two})), "Sweep the floor")

	var found []string
	for cursor := nullable.NewNullableWithValue(""); !cursor.IsNull(); {
		after := cursor.MustGet()
		page := list(taller.ListTasksParams{Cursor: &after, Size: &two})
		found = append(found, titles(page))
		cursor = page.NextCursor
	}
	same(found, []string{"Buy a workbench, Sharpen the chisels", "Sweep the floor"})

	// Sorted, filtered.
	sort, yes := "-title", true
	same(titles(list(taller.ListTasksParams{Sort: &sort})), "Sweep the floor, Sharpen the chisels, Buy a workbench")
	same(titles(list(taller.ListTasksParams{PriorityGte: &five, DueDateIsNull: &yes})), "Sharpen the chisels")
	// The clock of this machine says nanoseconds, and its own time zone.
	soon := time.Now().Add(time.Hour)
	same(titles(list(taller.ListTasksParams{DueDate: &december, CreatedAtGte: &task.CreatedAt, CreatedAtLt: &soon})), "Buy a workbench")

	// A change leaves everything else as it is; the tag that it was sent with is a condition.
	done, open := true, false
	seen := &taller.UpdateTaskParams{IfMatch: &task.Etag}
	update := must(admin.UpdateTaskWithResponse(ctx, task.Id, seen, taller.TaskUpdate{Completed: &done}))
	changed := answered(update.JSON200, update.Body)
	same([]any{changed.Completed, changed.Priority, changed.DueDate}, []any{true, 10, task.DueDate})
	late := must(admin.UpdateTaskWithResponse(ctx, task.Id, seen, taller.TaskUpdate{Completed: &open}))
	refused(late.Body, 412, "precondition_failed")
	clear := must(admin.PatchTaskWithResponse(ctx, task.Id, nil, taller.TaskUpdate{DueDate: nullable.NewNullNullable[types.Date]()}))
	cleared := answered(clear.JSON200, clear.Body)
	same([]any{cleared.Completed, cleared.DueDate.IsNull()}, []any{true, true})

	// Several at once.
	operations := make([]taller.TaskOperation, 2)
	if err := operations[0].FromCreateOperation(taller.CreateOperation{Task: taller.TaskCreate{Title: "Sort the screws"}}); err != nil {
		panic(err)
	}
	if err := operations[1].FromUpdateOperation(taller.UpdateOperation{
		Id:      task.Id,
		Changes: taller.TaskChanges{DueDate: nullable.NewNullableWithValue(december)},
		IfMatch: nullable.NewNullableWithValue(cleared.Etag),
	}); err != nil {
		panic(err)
	}
	batch := must(admin.BatchTasksWithResponse(ctx, project.Id, nil, taller.TaskBatch{Operations: operations}))
	results := answered(batch.JSON200, batch.Body).Results
	same([]any{results[0].Status, results[1].Status, results[1].Task.DueDate.MustGet()}, []any{201, 200, december})
	same(must(admin.DeleteTaskWithResponse(ctx, results[0].Task.Id, nil)).StatusCode(), 204)

	// An error. The type would not let a word be sent for a priority.
	wrong := must(admin.UpdateTaskWithBodyWithResponse(ctx, task.Id, nil, "application/json", strings.NewReader(`{"priority": "high"}`)))
	problem := refused(wrong.Body, 400, "invalid_request")
	same(problem.Type, "/problems/invalid_request")
	fields := *problem.Errors
	same([]any{len(fields), *fields[0].Pointer, fields[0].Code}, []any{1, "/priority", "int_type"})

	// Sharing.
	registration := must(admin.RegisterWithResponse(ctx, taller.Registration{Username: "ana", Password: "correct horse battery"}))
	same(answered(registration.JSON201, registration.Body).Username, "ana")
	person := must(admin.ReadPersonWithResponse(ctx, "ana"))
	ana := answered(person.JSON200, person.Body)
	set := must(admin.SetMemberWithResponse(ctx, project.Id, ana.Id, taller.MemberSet{Role: taller.Editor}))
	member := answered(set.JSON201, set.Body)
	same([]any{member.Username, member.Role}, []any{"ana", taller.Editor})
	hers := signedIn(tokensOf("ana", "correct horse battery").AccessToken)
	projects := must(hers.ListProjectsWithResponse(ctx, nil))
	shared := answered(projects.JSON200, projects.Body).Items
	same(
		[]any{len(shared), shared[0].Name, shared[0].Role.MustGet(), shared[0].TasksTotal, shared[0].TasksCompleted},
		[]any{1, "Workshop", taller.Editor, 3, 1},
	)
	add(hers, taller.TaskCreate{Title: "Oil the bench", Priority: &seven})

	// An API key.
	issue := must(admin.CreateApiKeyWithResponse(ctx, taller.ApiKeyCreate{
		Name: "nightly report", Scopes: []taller.Scope{taller.TasksRead}, ExpiresAt: nullable.NewNullableWithValue(soon),
	}))
	issued := answered(issue.JSON201, issue.Body)
	same(issued.ExpiresAt.MustGet().Equal(soon.Truncate(time.Microsecond)), true)
	program := client("X-API-Key", issued.Secret)
	three := 3
	urgent := must(program.ListVisibleTasksWithResponse(ctx, &taller.ListVisibleTasksParams{
		Size: &three, ProjectId: &[]types.UUID{project.Id},
	}))
	same(titles(answered(urgent.JSON200, urgent.Body)), "Buy a workbench, Oil the bench, Sharpen the chisels")
	forbidden := must(program.DeleteTaskWithResponse(ctx, task.Id, nil))
	refused(forbidden.Body, 403, "insufficient_scope")

	// Staying, and leaving.
	renewal := must(admin.RefreshTokensWithResponse(ctx, taller.Refresh{RefreshToken: tokens.RefreshToken}))
	again := signedIn(answered(renewal.JSON200, renewal.Body).AccessToken)
	same(must(again.LogoutWithResponse(ctx)).StatusCode(), 204)
	gone := must(again.ListProjectsWithResponse(ctx, nil))
	refused(gone.Body, 401, "invalid_token")
}
