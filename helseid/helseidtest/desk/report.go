package desk

import (
	"encoding/json"
	"fmt"
	"io"
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
