package call

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"unicode/utf8"

	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
)

// answerEvent is the answer as JSON.
type answerEvent struct {
	Event      string              `json:"event"`
	Status     int                 `json:"status"`
	Headers    map[string][]string `json:"headers"`
	Body       *string             `json:"body,omitempty"`
	BodyBase64 string              `json:"body_base64,omitempty"`
	File       string              `json:"file,omitempty"`
	Problems   []string            `json:"problems,omitempty"`
}

// answer prints the answer, or writes its body to a file.
func answer(out *cli.Output, response *http.Response, problems []string, file string) error {
	event := answerEvent{Event: "call", Status: response.StatusCode, Headers: shownHeaders(response.Header), File: file, Problems: problems}
	switch {
	case file != "":
		if err := save(response.Body, file); err != nil {
			return fmt.Errorf("the answer has status %d, but its body was not saved: %w", response.StatusCode, err)
		}
	case out.JSON():
		body, err := readAll(response.Body)
		if err != nil {
			return fmt.Errorf("the answer has status %d, but its body cannot be read: %w", response.StatusCode, err)
		}
		if text := string(body); utf8.ValidString(text) {
			event.Body = &text
		} else {
			event.BodyBase64 = base64.StdEncoding.EncodeToString(body)
		}
	default:
		if _, err := io.Copy(out, response.Body); err != nil {
			return fmt.Errorf("the answer has status %d, but its body broke off: %w", response.StatusCode, err)
		}
	}
	out.Event(event)
	return nil
}

// save writes a body to a file that its owner alone can read, also if it was there before:
// it may hold health data.
func save(body io.Reader, path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && info.Mode().IsRegular() { // and no device, such as /dev/null
		err = file.Chmod(0o600)
	}
	if err == nil {
		_, err = io.Copy(file, body)
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}
