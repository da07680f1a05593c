package inspect

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/jwtview"
)

// report is what is said of one input.
type report struct {
	kind    kind
	parts   []part
	rules   []finding
	hints   []string
	verdict string // of the SDK's own validator, in words, or ""

	surprised bool // the verdict names a rule that seemed to be kept
}

// part is a piece of the input as it may be shown.
type part struct {
	name    string
	content json.RawMessage
}

// finding is a rule with what breaks it. It is not checked if there is a reason for that.
type finding struct {
	rule      string
	problems  []string
	unchecked string
}

// show adds a part of the input, if it can be shown.
func (r *report) show(name string, document []byte) {
	if content, err := jwtview.Show(document); err == nil {
		r.parts = append(r.parts, part{name, content})
	}
}

func (r *report) find(rule string) *finding {
	i := slices.IndexFunc(r.rules, func(f finding) bool { return f.rule == rule })
	if i < 0 {
		i = len(r.rules)
		r.rules = append(r.rules, finding{rule: rule})
	}
	return &r.rules[i]
}

// keeps says that a rule is kept, unless something else breaks it.
func (r *report) keeps(rules ...string) {
	for _, rule := range rules {
		r.find(rule)
	}
}

// breaks says what breaks a rule. Of several problems that start with the same sentence,
// that sentence is said once.
func (r *report) breaks(rule string, problem ...string) {
	found := r.find(rule)
	found.unchecked = ""
	for _, text := range problem {
		if text = jwtview.Printable(text); text != "" && !slices.Contains(found.problems, text) {
			found.problems = append(found.problems, text)
		}
	}
	if len(found.problems) == 0 {
		found.problems = []string{"it is broken"}
	}
}

// unchecked says why a rule could not be checked.
func (r *report) unchecked(rule, why string) {
	if found := r.find(rule); len(found.problems) == 0 {
		found.unchecked = why
	}
}

func (r *report) hint(format string, values ...any) {
	r.hints = append(r.hints, jwtview.Printable(fmt.Sprintf(format, values...)))
}

func (r *report) isBroken(rule string) bool {
	return slices.ContainsFunc(r.rules, func(f finding) bool { return f.rule == rule && len(f.problems) > 0 })
}

// judged adds the verdict of the SDK's own validator on the whole. It counts, whatever was
// found before.
func (r *report) judged(judge, rule, problem string) {
	if rule == "" {
		r.verdict = judge + " accepts it"
		return
	}
	r.verdict = judge + " refuses it: " + problem
	if r.surprised = !r.isBroken(rule); r.surprised {
		r.breaks(rule, problem)
	}
}

func (r *report) ok() bool {
	return !slices.ContainsFunc(r.rules, func(f finding) bool { return len(f.problems) > 0 })
}

// The events of -json.
type (
	contentEvent struct {
		Event   string          `json:"event"` // content
		Part    string          `json:"part"`
		Content json.RawMessage `json:"content"`
	}
	ruleEvent struct {
		Event   string `json:"event"` // rule
		Rule    string `json:"rule"`
		OK      bool   `json:"ok"`
		Problem string `json:"problem,omitempty"`
	}
	uncheckedEvent struct {
		Event string `json:"event"` // unchecked
		Rule  string `json:"rule"`
		Why   string `json:"why"`
	}
	textEvent struct {
		Event string `json:"event"` // hint or verdict
		Text  string `json:"text"`
	}
	summaryEvent struct {
		Event string `json:"event"` // summary
		Kind  kind   `json:"kind"`
		OK    bool   `json:"ok"`
	}
)

// print says everything, and whether no rule is broken.
func (r *report) print(out *cli.Output) (ok bool) {
	out.Say("%s", r.kind.words())
	for _, part := range r.parts {
		out.Event(contentEvent{"content", part.name, part.content})
		out.Say("\n%s\n%s", part.name, jwtview.Indent(part.content))
	}
	if len(r.rules) > 0 {
		out.Say("\nrules")
	}
	for _, f := range r.rules {
		r.printRule(out, f)
	}
	if len(r.hints) > 0 {
		out.Say("\nto know")
	}
	for _, hint := range r.hints {
		out.Event(textEvent{"hint", hint})
		out.Say("  - %s", hint)
	}
	if r.verdict != "" {
		out.Event(textEvent{"verdict", r.verdict})
		out.Say("\n%s", r.verdict)
	}
	ok = r.ok()
	out.Event(summaryEvent{"summary", r.kind, ok})
	if broken := r.broken(); ok {
		out.Say("\n%s\n", out.Good("no rule is broken"))
	} else {
		out.Say("\n%s\n", out.Bad(broken))
	}
	return ok
}

func (r *report) printRule(out *cli.Output, f finding) {
	switch {
	case len(f.problems) > 0:
		problem := strings.Join(f.problems, "; ")
		out.Event(ruleEvent{"rule", f.rule, false, problem})
		out.Say("  %s %s: %s", out.Bad("BROKEN "), f.rule, problem)
	case f.unchecked != "":
		out.Event(uncheckedEvent{"unchecked", f.rule, f.unchecked})
		out.Say("  ?       %s: not checked: %s", f.rule, f.unchecked)
	default:
		out.Event(ruleEvent{"rule", f.rule, true, ""})
		out.Say("  %s %s: %s", out.Good("ok     "), f.rule, phrases[f.rule])
	}
}

func (r *report) broken() string {
	var names []string
	for _, f := range r.rules {
		if len(f.problems) > 0 {
			names = append(names, f.rule)
		}
	}
	if len(names) == 1 {
		return "broken: " + names[0]
	}
	return fmt.Sprintf("%d rules are broken: %s", len(names), strings.Join(names, ", "))
}
