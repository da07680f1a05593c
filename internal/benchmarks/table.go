package main

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"
)

// row is a line of the table. What is nil or zero stays empty.
type row struct {
	name  string
	ours  *task
	bare  *task            // what ratios are to
	peers map[string]*task // by the peers' names

	// figure replaces the time for what is not measured as one.
	figure string

	// The budgets, and what counts against those that are no ratio.
	maxRatio   float64
	maxNanos   float64
	maxMallocs float64 // -1: none
	maxBytes   float64 // allocated, as a multiple of the bare task's: the row is a refusal
	value      float64
	maxValue   float64
	unit       string

	// notes tell what peers do not check, by their names.
	notes map[string]string
}

// columns are the peers, in the order of the table.
var columns = []string{"golang-jwt", "go-jose", "jwx", "go-oidc", "auth0", "x/oauth2"}

// noise is how far above its budget a time may be on a busy machine.
const noise = 1.3

// breaches lists the figures that are too far above their budgets. Counts are
// not at the mercy of the machine: they get no allowance.
func (r *row) breaches() []string {
	var found []string
	add := func(format string, args ...any) { found = append(found, r.name+": "+fmt.Sprintf(format, args...)) }
	if r.ours != nil {
		if r.maxRatio > 0 {
			// A busy machine makes slower, never faster, and may hit one of two more
			// than the other: the ratio of their fastest rounds counts too.
			if got := min(ratio(r.ours, r.bare), slices.Min(r.ours.nanos)/slices.Min(r.bare.nanos)); !(got <= noise*r.maxRatio) {
				add("%.2f × bare, the budget is %.2f", got, r.maxRatio)
			}
		}
		if fastest := slices.Min(r.ours.nanos); r.maxNanos > 0 && !(fastest <= noise*r.maxNanos) {
			add("%s, the budget is %s", duration(fastest), duration(r.maxNanos))
		}
		if r.maxMallocs != 0 && !(math.Round(r.ours.mallocs) <= max(0, r.maxMallocs)) {
			add("%.0f allocations, the budget is %.0f", r.ours.mallocs, max(0, r.maxMallocs))
		}
		if r.maxBytes > 0 && !(r.bytesRatio() <= r.maxBytes) {
			add("%.1f × the bytes of a good request, the budget is %.0f", r.bytesRatio(), r.maxBytes)
		}
	}
	if r.maxValue > 0 && !(r.value <= r.maxValue) {
		add("%.0f %s, the budget is %.0f", r.value, r.unit, r.maxValue)
	}
	return found
}

func (r *row) bytesRatio() float64 { return r.ours.bytes / r.bare.bytes }

func (r *row) budget() string {
	var parts []string
	if r.maxRatio > 0 {
		parts = append(parts, fmt.Sprintf("≤ %.2f ×", r.maxRatio))
	}
	if r.maxNanos > 0 {
		parts = append(parts, "≤ "+duration(r.maxNanos))
	}
	if r.maxMallocs != 0 {
		parts = append(parts, fmt.Sprintf("≤ %.0f allocs", max(0, r.maxMallocs)))
	}
	if r.maxValue > 0 {
		parts = append(parts, fmt.Sprintf("≤ %.0f %s", r.maxValue, r.unit))
	}
	return strings.Join(parts, ", ")
}

// cells are the row's columns, before those of the peers.
func (r *row) cells() []string {
	cells := []string{r.name, r.figure, "", "", r.budget(), ""}
	if r.ours != nil {
		cells[1] = duration(r.ours.time())
		cells[5] = fmt.Sprintf("%.0f", r.ours.mallocs)
	}
	if r.bare != nil {
		cells[2] = duration(r.bare.time())
		cells[3] = fmt.Sprintf("%.2f ×", ratio(r.ours, r.bare))
	}
	return cells
}

// write prints the table as Markdown, with the notes below.
func write(w io.Writer, rows []*row, quick bool, took time.Duration) {
	header := append([]string{"path", "this SDK", "bare", "ratio", "budget", "allocs"}, columns...)
	fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(header, " | "), strings.Repeat("---|", len(header)))
	var notes []string
	for _, r := range rows {
		if r.maxBytes > 0 {
			continue
		}
		cells := r.cells()
		for _, name := range columns {
			cells = append(cells, r.peerCell(name, &notes))
		}
		for i, cell := range cells {
			if cell == "" {
				cells[i] = "–"
			}
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
	}
	fmt.Fprintln(w)
	for i, note := range notes {
		fmt.Fprintf(w, "%d. %s\n", i+1, note)
	}
	mode := "medians of interleaved rounds"
	if quick {
		mode = "medians of a few interleaved rounds"
	}
	fmt.Fprintf(w, "\nBare is the cryptographic operation alone; peers' figures are followed by their ratio to it. %s on %d cores, %s, %s/%s, in %s.\n",
		strings.ToUpper(mode[:1])+mode[1:], runtime.GOMAXPROCS(0), runtime.Version(), runtime.GOOS, runtime.GOARCH, took.Round(time.Second))
}

// writeRefusals prints what refusals cost compared with a good request.
func writeRefusals(w io.Writer, rows []*row) {
	fmt.Fprint(w, "\n| refused request | time | of a good one | memory | of a good one |\n|---|---|---|---|---|\n")
	for _, r := range rows {
		if r.maxBytes > 0 {
			fmt.Fprintf(w, "| %s | %s | %.2f × | %.1f KB | %.2f × |\n", r.name, duration(r.ours.time()), ratio(r.ours, r.bare), r.ours.bytes/1e3, r.bytesRatio())
		}
	}
	fmt.Fprintf(w, "\nA good one is a request with a token that has been seen before and a new proof. The gate is %d × its time and %d × the bytes that it allocates.\n", maxRefusalTime, maxRefusalBytes)
}

func (r *row) peerCell(name string, notes *[]string) string {
	peer := r.peers[name]
	if peer == nil {
		return ""
	}
	cell := duration(peer.time())
	if r.bare != nil {
		cell += fmt.Sprintf(" (%.2f ×)", ratio(peer, r.bare))
	}
	if note := r.notes[name]; note != "" {
		text := name + ", " + r.name + ": " + note
		*notes = append(*notes, text)
		cell += fmt.Sprintf(" [%d]", len(*notes))
	}
	return cell
}
