package oteltest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/middleware"
)

// document is docs/monitoring.md.
type document struct {
	text   string
	tables map[string][][]string // by the first cell of the header
}

func readDocument(t testing.TB) document {
	t.Helper()
	data, err := os.ReadFile("../../docs/monitoring.md")
	require.NoError(t, err)
	d := document{text: string(data), tables: make(map[string][][]string)}
	table := ""
	for line := range strings.Lines(d.text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			table = ""
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case table == "":
			table = cells[0]
		case !strings.HasPrefix(cells[0], "---"):
			d.tables[table] = append(d.tables[table], cells)
		}
	}
	return d
}

var quoted = regexp.MustCompile("`([^`]+)`")

// names are those in backquotes.
func names(text string) (found []string) {
	for _, match := range quoted.FindAllStringSubmatch(text, -1) {
		found = append(found, match[1])
	}
	slices.Sort(found)
	return found
}

// seen is what otelhelseid has recorded when everything has happened.
type seen struct {
	instruments map[string]instrument
	spans       map[string]map[string]bool // attributes by name
	values      map[string]map[string]bool // of attributes
	events      map[string]bool
}

type instrument struct {
	kind, unit string
	attributes map[string]bool
}

func see(t *testing.T) seen {
	t.Helper()
	c := newCollector(t)
	everything(t, c, c.telemetry())
	s := seen{make(map[string]instrument), make(map[string]map[string]bool), make(map[string]map[string]bool), make(map[string]bool)}
	note := func(key, value string) {
		if s.values[key] == nil {
			s.values[key] = make(map[string]bool)
		}
		s.values[key][value] = true
	}
	for _, found := range c.metrics() {
		made := instrument{unit: found.Unit, attributes: make(map[string]bool)}
		switch found.Data.(type) {
		case metricdata.Sum[int64]:
			made.kind = "counter"
		case metricdata.Gauge[float64]:
			made.kind = "gauge"
		case metricdata.Histogram[float64]:
			made.kind = "histogram"
		}
		for _, point := range pointsOf(t, found) {
			for _, a := range point.attributes.ToSlice() {
				made.attributes[string(a.Key)] = true
				note(string(a.Key), a.Value.String())
			}
		}
		s.instruments[found.Name] = made
	}
	for _, ended := range c.spans.Ended() {
		for _, event := range ended.Events() {
			s.events[event.Name] = true
			for _, a := range event.Attributes {
				note(string(a.Key), a.Value.String())
			}
		}
		if ended.InstrumentationScope().Name != scope {
			continue
		}
		if s.spans[ended.Name()] == nil {
			s.spans[ended.Name()] = make(map[string]bool)
		}
		for _, a := range ended.Attributes() {
			s.spans[ended.Name()][string(a.Key)] = true
			note(string(a.Key), a.Value.String())
		}
	}
	return s
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

// The tables have the instruments, spans, attributes and values that there are, and no
// other.
func TestMonitoringNamesWhatExists(t *testing.T) {
	t.Parallel()
	d, s := readDocument(t), see(t)
	rows := make(map[string]bool)
	for _, row := range d.tables["instrument"] {
		name := names(row[0])[0]
		made, ok := s.instruments[name]
		require.True(t, ok, "there is no instrument %s", name)
		require.Equal(t, made.kind, row[1], name)
		require.Equal(t, []string{made.unit}, names(row[2]), name)
		require.Equal(t, sorted(made.attributes), append([]string(nil), names(row[3])...), name)
		rows[name] = true
	}
	require.Equal(t, slices.Sorted(maps.Keys(s.instruments)), sorted(rows))

	rows = make(map[string]bool)
	for _, row := range d.tables["span"] {
		name := names(row[0])[0]
		require.Equal(t, sorted(s.spans[name]), names(row[2]), name)
		rows[name] = true
	}
	require.Equal(t, slices.Sorted(maps.Keys(s.spans)), sorted(rows))
	for name := range s.events {
		require.Contains(t, d.text, "`"+name+"`")
	}

	described := make(map[string]bool)
	for _, row := range d.tables["attribute"] {
		key := names(row[0])[0]
		described[key] = true
		require.NotEmpty(t, s.values[key], "there is no attribute %s", key)
		switch key {
		case "helseid.client.id":
		case "helseid.guard.reason": // all reasons are of the guard
			require.Equal(t, []string{"Config.Reasons", "_OTHER"}, names(row[1]))
		case "error.type":
			kinds := slices.DeleteFunc(sorted(s.values[key]), func(value string) bool { _, err := strconv.Atoi(value); return err == nil })
			require.Equal(t, kinds, slices.Compact(names(row[1])))
		default:
			require.Equal(t, sorted(s.values[key]), names(row[1]), key)
		}
	}
	for key := range s.values {
		if strings.HasPrefix(key, "helseid.") && !strings.HasPrefix(key, "helseid.guard.nested") && key != "helseid.guard.unproven" && key != "helseid.error.number" {
			require.True(t, described[key], "the attribute %s is not described", key)
		}
	}
}

// prometheusNames are those that Prometheus's exporters make of an instrument.
func prometheusNames(name string, of instrument) []string {
	name = strings.ReplaceAll(name, ".", "_")
	if of.unit == "s" {
		name += "_seconds"
	}
	switch of.kind {
	case "counter":
		return []string{name + "_total"}
	case "histogram":
		return []string{name + "_count", name + "_sum", name + "_bucket"}
	}
	return []string{name}
}

var (
	query    = regexp.MustCompile("(?s)```promql\n(.*?)```")
	word     = regexp.MustCompile(`[a-z][a-z0-9_]*`)
	selector = regexp.MustCompile(`([a-z_]+)\{([^}]*)\}`)
	matcher  = regexp.MustCompile(`([a-z_]+)(=~|!~|!=|=)"([^"]*)"`)
)

// What the alerts ask Prometheus for exists: metrics, their labels, and the values.
func TestAlertsNameWhatExists(t *testing.T) {
	t.Parallel()
	d, s := readDocument(t), see(t)
	metrics, labels := make(map[string]instrument), make(map[string]string)
	for name, made := range s.instruments {
		for _, exported := range prometheusNames(name, made) {
			metrics[exported] = made
		}
		for key := range made.attributes {
			labels[strings.ReplaceAll(key, ".", "_")] = key
		}
	}
	for reason := range reasonsOfSource(t) {
		s.values["helseid.guard.reason"][reason] = true
	}
	language := strings.Fields("sum min by rate increase histogram_quantile on group_left unless le m h instance") // of PromQL, and a label of targets
	queries := query.FindAllStringSubmatch(d.text, -1)
	require.Len(t, queries, 9)
	for _, found := range queries {
		asked := found[1]
		for _, selected := range selector.FindAllStringSubmatch(asked, -1) {
			made, ok := metrics[selected[1]]
			require.True(t, ok, "there is no metric %s", selected[1])
			matches := matcher.FindAllStringSubmatch(selected[2], -1)
			require.Len(t, matches, strings.Count(selected[2], `="`)+strings.Count(selected[2], `~"`), selected[2])
			for _, match := range matches {
				key := labels[match[1]]
				require.True(t, made.attributes[key], "%s has no label %s", selected[1], match[1])
				for value := range strings.SplitSeq(match[3], "|") {
					require.True(t, value == "" || s.values[key][value], "%s is never %s", match[1], value)
				}
			}
		}
		asked = selector.ReplaceAllString(asked, "$1")
		for _, name := range word.FindAllString(asked, -1) {
			_, isMetric := metrics[name]
			require.True(t, isMetric || labels[name] != "" || slices.Contains(language, name), "%s in\n%s", name, asked)
		}
	}
}

// The hooks' names are right, too: each kind of event has its instrument, and the lines
// of the logs are written somewhere.
func TestHooksNameWhatExists(t *testing.T) {
	t.Parallel()
	d := readDocument(t)
	var kinds []string
	for _, row := range d.tables["event"] {
		for _, kind := range names(row[0]) {
			kinds = append(kinds, kind)
			if strings.HasPrefix(row[1], "Nothing: ") {
				continue
			}
			c := newCollector(t)
			telemetry := c.telemetry()
			telemetry.OnEvent(t.Context(), helseid.Event{Kind: helseid.EventKind(kind), ClientID: "client", Expiry: time.Now()})
			require.NotEmpty(t, c.metrics(), "%s is not counted", kind)
			require.Contains(t, instrumentsOf(c), names(row[1])[0], kind)
		}
	}
	slices.Sort(kinds)
	require.Equal(t, eventKinds(t), kinds)

	_, hooks, found := strings.Cut(d.text, "\n## Without OpenTelemetry\n")
	require.True(t, found)
	for name := range map[string]any{
		"helseid.Config.OnEvent": helseid.Config{}.OnEvent, "helseid.Config.Tracer": helseid.Config{}.Tracer, "helseid.Config.Logger": helseid.Config{}.Logger,
		"middleware.Config.Audit": middleware.Config{}.Audit, "middleware.AuditLog": middleware.AuditLog,
		"Client.Check": (*helseid.Client).Check, "Middleware.Check": (*middleware.Middleware).Check, "Event.Shared": helseid.Event{}.Shared,
	} {
		require.Contains(t, hooks, "`"+name+"`")
	}
	source := sourceOf(t, "helseid", "middleware")
	lines := 0
	for _, line := range names(hooks) {
		if strings.Count(line, " ") >= 2 && !strings.ContainsAny(line, "=_./") {
			lines++
			require.True(t, strings.Contains(source, `"`+line+`"`), "nothing writes %q", line)
		}
	}
	require.GreaterOrEqual(t, lines, 5)
}

func instrumentsOf(c *collector) (found []string) {
	for _, made := range c.metrics() {
		found = append(found, made.Name)
	}
	return found
}

func sourceOf(t testing.TB, folders ...string) string {
	t.Helper()
	var all strings.Builder
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join("../..", folder, "*.go"))
		require.NoError(t, err)
		for _, name := range files {
			if source, err := os.ReadFile(name); !strings.HasSuffix(name, "_test.go") {
				require.NoError(t, err)
				all.Write(source)
			}
		}
	}
	return all.String()
}

// eventKinds are the values of the constants that helseid declares.
func eventKinds(t testing.TB) (kinds []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../helseid/events.go", nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	ast.Inspect(file, func(node ast.Node) bool {
		if spec, ok := node.(*ast.ValueSpec); ok {
			for _, value := range spec.Values {
				kind, err := strconv.Unquote(value.(*ast.BasicLit).Value)
				require.NoError(t, err)
				kinds = append(kinds, kind)
			}
		}
		return true
	})
	slices.Sort(kinds)
	require.NotEmpty(t, kinds)
	return kinds
}
