package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// narrator prints what happens, in words or as JSON.
type narrator struct {
	out    io.Writer
	asJSON bool
}

func (n *narrator) step(event, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if n.asJSON {
		n.printJSON(map[string]any{"event": event, "text": text})
		return
	}
	fmt.Fprintln(n.out, "•", text)
}

// answer reports a call to the API, and ends the program if the response is not the
// expected one.
func (n *narrator) answer(event, what string, response *http.Response, err error, want int) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	body, err := readBody(response)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if response.StatusCode != want {
		return fmt.Errorf("%s: the API answered %s: %s", what, response.Status, body)
	}
	var problem struct{ Reason, Detail, Error string }
	if response.StatusCode >= 400 && json.Unmarshal([]byte(body), &problem) == nil {
		body = fmt.Sprintf("%s: %s (reason %s)", problem.Error, problem.Detail, problem.Reason)
	}
	if n.asJSON {
		n.printJSON(map[string]any{
			"event": event, "text": what, "status": response.StatusCode, "reason": problem.Reason, "answer": strings.TrimSpace(body),
		})
		return nil
	}
	fmt.Fprintf(n.out, "• %s.\n  → %d %s\n", what, response.StatusCode, strings.TrimSpace(body))
	return nil
}

func (n *narrator) printJSON(event map[string]any) { _ = json.NewEncoder(n.out).Encode(event) }
