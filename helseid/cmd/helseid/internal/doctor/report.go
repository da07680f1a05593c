package doctor

import (
	"fmt"
	"strings"

	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
)

// result is what a step has found.
type result struct {
	note     string // what is good, for the reader to compare
	skipped  string // why the step was not tried
	findings []finding
}

// finding is one thing that is wrong. If it can have several causes, each has a remedy,
// the likeliest first.
type finding struct {
	problem  string
	remedies []string
}

func good(format string, values ...any) result { return result{note: fmt.Sprintf(format, values...)} }

// skip says why a step was not tried.
func skip(format string, values ...any) result {
	return result{skipped: fmt.Sprintf(format, values...)}
}

func bad(problem string, remedies ...string) result {
	return result{findings: []finding{{problem, remedies}}}
}

func (r *result) add(problem string, remedies ...string) {
	r.findings = append(r.findings, finding{problem, remedies})
}

// remedy is all remedies on one line.
func (f finding) remedy() string { return strings.Join(f.numbered(), " ") }

func (f finding) numbered() []string {
	if len(f.remedies) < 2 {
		return f.remedies
	}
	lines := make([]string, len(f.remedies))
	for i, remedy := range f.remedies {
		lines[i] = fmt.Sprintf("%d. %s", i+1, remedy)
	}
	return lines
}

// event is a line of -json.
type event struct {
	Event   string `json:"event"`
	Step    string `json:"step"`
	OK      *bool  `json:"ok,omitempty"` // left out for a step that was not tried
	Skipped string `json:"skipped,omitempty"`
	Note    string `json:"note,omitempty"`
	Problem string `json:"problem,omitempty"`
	Remedy  string `json:"remedy,omitempty"`
}

type summary struct {
	Event    string `json:"event"`
	OK       bool   `json:"ok"`
	Problems int    `json:"problems"`
}

// width is that of the longest name of a step.
const width = len("registration")

func report(out *cli.Output, name string, found result) {
	say := func(mark, text string) { out.Say("%s %-*s  %s", mark, width, name, text) }
	switch {
	case len(found.findings) > 0:
		wrong := false
		for _, finding := range found.findings {
			out.Event(event{Event: "step", Step: name, OK: &wrong, Problem: finding.problem, Remedy: finding.remedy()})
			say(out.Bad("✗"), finding.problem)
			for _, line := range finding.numbered() {
				out.Say("  %*s  → %s", width, "", line)
			}
		}
	case found.skipped != "":
		out.Event(event{Event: "step", Step: name, Skipped: "not tried, because " + found.skipped})
		say("–", "not tried, because "+found.skipped)
	default:
		right := true
		out.Event(event{Event: "step", Step: name, OK: &right, Note: found.note})
		say(out.Good("✓"), found.note)
	}
}

func summarize(out *cli.Output, problems int) error {
	out.Event(summary{"summary", problems == 0, problems})
	switch problems {
	case 0:
		out.Say("%s", out.Good("nothing is wrong"))
		return nil
	case 1:
		out.Say("%s", out.Bad("1 problem"))
	default:
		out.Say("%s", out.Bad(fmt.Sprintf("%d problems", problems)))
	}
	return cli.ErrReported
}
