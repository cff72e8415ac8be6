package doors

import (
	"bytes"
	"encoding/json"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/goipns/ipns/hosting"
)

// document is what the tests read of openapi.json.
type document struct {
	OpenAPI    string                     `json:"openapi"`
	Paths      map[string]json.RawMessage `json:"paths"`
	Components struct {
		Schemas   map[string]any      `json:"schemas"`
		Responses map[string]response `json:"responses"`
	} `json:"components"`
	operations map[string]map[string]operation // by path and method
	compiler   *jsonschema.Compiler
}

type operation struct {
	ID        string              `json:"operationId"`
	Responses map[string]response `json:"responses"`
}

type response struct {
	Ref     string         `json:"$ref"`
	Content map[string]any `json:"content"`
}

// description is openapi.json, read once.
var description = sync.OnceValues(func() (*document, error) {
	d := &document{operations: map[string]map[string]operation{}, compiler: jsonschema.NewCompiler()}
	if err := json.Unmarshal(openAPI, d); err != nil {
		return nil, err
	}
	for path, raw := range d.Paths {
		var item map[string]json.RawMessage
		if err := json.Unmarshal(raw, &item); err != nil {
			return nil, err
		}
		d.operations[path] = map[string]operation{}
		for method, raw := range item {
			if method == "parameters" {
				continue
			}
			var o operation
			if err := json.Unmarshal(raw, &o); err != nil {
				return nil, err
			}
			d.operations[path][strings.ToUpper(method)] = o
		}
	}
	whole, err := jsonschema.UnmarshalJSON(bytes.NewReader(openAPI))
	if err != nil {
		return nil, err
	}
	d.compiler.AssertFormat()
	return d, d.compiler.AddResource("openapi.json", whole)
})

func described(t *testing.T) *document {
	t.Helper()
	d, err := description()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// schema compiles the schema at a JSON pointer of the document.
func (d *document) schema(t *testing.T, keys ...string) *jsonschema.Schema {
	t.Helper()
	pointer := "openapi.json#"
	for _, k := range keys {
		pointer += "/" + strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(k, "~", "~0"), "/", "~1"), "{", "%7B"), "}", "%7D")
	}
	s, err := d.compiler.Compile(pointer)
	if err != nil {
		t.Fatalf("%s: %v", pointer, err)
	}
	return s
}

// find returns the path and the operation of a request.
func (d *document) find(method, path string) (string, operation, bool) {
	path, _, _ = strings.Cut(path, "?")
	parts := strings.Split(path, "/")
	best, found := "", false
	for template := range d.operations {
		fits := strings.Split(template, "/")
		ok := len(fits) == len(parts)
		for i := 0; ok && i < len(parts); i++ {
			ok = fits[i] == parts[i] || strings.HasPrefix(fits[i], "{") && parts[i] != ""
		}
		if ok && (best == "" || strings.Count(template, "{") < strings.Count(best, "{")) {
			best = template
		}
	}
	o, found := d.operations[best][method]
	return best, o, found
}

var checking sync.Mutex // the compiler is for one at a time

// checkAnswer holds an answer against the description. What no operation is for is answered by
// the mux alone: 404, 405 or 501.
func checkAnswer(t *testing.T, method, path string, resp *http.Response, body []byte) {
	t.Helper()
	checking.Lock()
	defer checking.Unlock()
	d := described(t)
	at, o, found := d.find(method, path)
	if !found {
		if !slices.Contains([]int{http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented, http.StatusNoContent}, resp.StatusCode) {
			t.Errorf("%s %s is not in openapi.json, and answers %s", method, path, resp.Status)
		}
		return
	}
	status := strconv.Itoa(resp.StatusCode)
	r, ok := o.Responses[status]
	if !ok {
		t.Errorf("%s %s answers %s, which openapi.json does not have: %s", method, at, resp.Status, body)
		return
	}
	schema := []string{"paths", at, strings.ToLower(method), "responses", status}
	if shared, ok := strings.CutPrefix(r.Ref, "#/components/responses/"); ok {
		if r, ok = d.Components.Responses[shared]; !ok {
			t.Fatalf("openapi.json has no %s", shared)
		}
		schema = []string{"components", "responses", shared}
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if len(r.Content) == 0 {
		if len(body) > 0 {
			t.Errorf("%s %s answers %s with a body, which openapi.json does not have: %s", method, at, status, body)
		}
		return
	}
	if _, ok := r.Content[kind]; !ok {
		t.Errorf("%s %s answers %s with %q, which openapi.json does not have: %s", method, at, status, kind, body)
		return
	}
	if kind != "application/json" {
		return
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err == nil {
		err = d.schema(t, append(schema, "content", kind, "schema")...).Validate(v)
	}
	if err != nil {
		t.Errorf("%s %s answers %s: %s\n%v", method, at, status, body, err)
	}
}

// withoutMethod are patterns that are for several methods, or lead nowhere.
var withoutMethod = map[string][]string{
	"/routing/v1/ipns/{name}": {http.MethodGet, http.MethodPut},
	"/routing/v1/":            {}, // 501
}

func TestEveryRouteIsDescribedAndNothingElse(t *testing.T) {
	doc := described(t)
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("it is OpenAPI %s", doc.OpenAPI)
	}
	d := newStand(t, hosting.Settings{})
	served := map[string]bool{}
	for _, pattern := range (&doors{d.options}).mux().patterns {
		method, path, ok := strings.Cut(pattern, " ")
		methods := []string{method}
		if !ok {
			if methods, ok = withoutMethod[pattern]; !ok {
				t.Errorf("which methods are for %s?", pattern)
			}
			path = pattern
		}
		for _, method := range methods {
			served[method+" "+strings.TrimSuffix(path, "{$}")] = true
		}
	}
	ids := map[string]bool{}
	for path, methods := range doc.operations {
		for method, o := range methods {
			if key := method + " " + path; !served[key] {
				t.Errorf("openapi.json has %s, which nothing serves", key)
			} else {
				delete(served, key)
			}
			if o.ID == "" || ids[o.ID] || len(o.Responses) == 0 {
				t.Errorf("%s %s: operationId %q, %d responses", method, path, o.ID, len(o.Responses))
			}
			ids[o.ID] = true
		}
	}
	if len(served) > 0 {
		t.Errorf("openapi.json does not have %q", slices.Sorted(maps.Keys(served)))
	}
	var got document
	d.send("GET", "/openapi.json", "", nil).into(t, &got)
	if len(got.Paths) != len(doc.Paths) {
		t.Errorf("%d of %d paths are served", len(got.Paths), len(doc.Paths))
	}
}

// What the handlers take is what the description says they take, and every reference leads somewhere.
func TestTheSchemasOfRequestsAreRight(t *testing.T) {
	checking.Lock()
	defer checking.Unlock()
	d := described(t)
	for name := range d.Components.Schemas {
		d.schema(t, "components", "schemas", name)
	}
	yes := true
	for _, c := range []struct {
		schema string
		v      any
	}{
		{"Pin", pinObject{CID: oneCID, Name: "n", Origins: []string{"/ip4/192.0.2.1"}, Meta: map[string]string{"k": "v"}}},
		{"NewName", nameRequest{Label: "l", CID: oneCID, Key: "k", Enabled: &yes}},
		{"W3Update", w3Record{Key: "k", Value: "v", Record: "r"}},
	} {
		b, err := json.Marshal(c.v)
		must(t, err)
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		must(t, err)
		if err := d.schema(t, "components", "schemas", c.schema).Validate(v); err != nil {
			t.Errorf("%s: %v", c.schema, err)
		}
		// All fields that are written are described.
		var fields map[string]any
		must(t, json.Unmarshal(b, &fields))
		s := d.schema(t, "components", "schemas", c.schema)
		for f := range fields {
			if s.Properties[f] == nil {
				t.Errorf("%s does not have %s", c.schema, f)
			}
		}
	}
}
