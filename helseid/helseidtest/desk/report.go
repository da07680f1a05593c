package desk

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
)

// event is an object that is printed.
type event map[string]any

// report prints what happens, in words or as JSON.
type report struct {
	stdout io.Writer
	asJSON bool
}

func (r *report) say(what event, format string, values ...any) {
	switch {
	case !r.asJSON:
		fmt.Fprintf(r.stdout, format+"\n", values...)
	case what != nil:
		_ = json.NewEncoder(r.stdout).Encode(what)
	}
}

// counted is a number with its noun in the right form.
func counted(number int, noun string) string {
	if number != 1 {
		noun += "s"
	}
	return strconv.Itoa(number) + " " + noun
}
