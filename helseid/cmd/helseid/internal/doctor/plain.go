package doctor

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/jwtview"
	"github.com/helseid-go/sdk/internal/redact"
)

const maxPlain = 64

// plain is an identifier for a text, such as a client id or a kid. What is none, such as a
// key that stands in the wrong place, is not shown.
func plain(id string) string {
	if !isID(id) {
		return fmt.Sprintf("(%d characters)", len(id))
	}
	return id
}

func isID(id string) bool {
	return id != "" && len(id) <= maxPlain && !strings.ContainsFunc(id, func(char rune) bool { return char <= ' ' || char > '~' })
}

// address is a URL as it may be printed: without what may hold personal data or a
// password, and with national identity numbers masked.
func address(u *url.URL) string { return string(jwtview.Mask([]byte(withoutQuery(u)))) }

// withoutQuery leaves out the query, the fragment and the user.
func withoutQuery(u *url.URL) string {
	bare := *u
	bare.User, bare.RawQuery, bare.ForceQuery, bare.Fragment, bare.RawFragment = nil, "", false, "", ""
	return bare.String()
}

// names joins names that HelseID has given.
func names(given []string) string {
	safe := make([]string, len(given))
	for i, name := range given {
		safe[i] = redact.Text(name)
	}
	return strings.Join(safe, " ")
}

// seconds rounds a duration for a text.
func seconds(d time.Duration) time.Duration { return d.Abs().Round(time.Second) }

// statusText is a status with its name, such as "404 Not Found".
func statusText(status int) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", status, http.StatusText(status)))
}
