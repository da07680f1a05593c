package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"strings"
)

// narrator prints what happens, in words or as JSON.
type narrator struct {
	out    io.Writer
	asJSON bool
}

// facts are the data for programs that read the output.
type facts map[string]any

func (n *narrator) step(event string, facts facts, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !n.asJSON {
		fmt.Fprintln(n.out, "•", text)
		return
	}
	text, _, _ = strings.Cut(text, "\n") // the rest is in the facts
	line := map[string]any{"event": event, "text": text}
	maps.Copy(line, facts)
	_ = json.NewEncoder(n.out).Encode(line)
}
