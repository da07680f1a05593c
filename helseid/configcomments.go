package helseid

import (
	"bytes"
	"strings"
)

// withoutComments removes from a JSON text what .NET's reader of appsettings.json
// accepts beyond JSON: comments, and a comma before a closing bracket. It reports
// whether it removed anything. The strict reader then judges the result.
func withoutComments(text string) (string, bool) {
	var out bytes.Buffer
	comma := -1 // index in out of the last comma, if only white space followed
	changed := false
	for i := 0; i < len(text); {
		rest := text[i:]
		switch c := text[i]; {
		case c == '"':
			end := stringEnd(rest)
			out.WriteString(rest[:end])
			i += end
			comma = -1
			continue
		case strings.HasPrefix(rest, "//"):
			i += lineEnd(rest)
			changed = true
			continue
		case strings.HasPrefix(rest, "/*"):
			_, after, ok := strings.Cut(rest[2:], "*/")
			if !ok {
				return "", false
			}
			i = len(text) - len(after)
			out.WriteByte(' ')
			changed = true
			continue
		case (c == '}' || c == ']') && comma >= 0:
			out.Bytes()[comma] = ' '
			changed, comma = true, -1
		case c == ',':
			comma = out.Len()
		case c != ' ' && c != '\t' && c != '\r' && c != '\n':
			comma = -1
		}
		out.WriteByte(text[i])
		i++
	}
	return out.String(), changed
}

// stringEnd is the length of the JSON string that the text begins with.
func stringEnd(text string) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

func lineEnd(text string) int {
	if i := strings.IndexAny(text, "\r\n"); i >= 0 {
		return i
	}
	return len(text)
}
