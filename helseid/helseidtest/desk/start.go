package desk

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/helseid-go/sdk/helseid/helseidtest"
)

//go:embed start.html
var startSource string

var startTemplate = parsePage(startSource)

// startPage lists clients and users, and shows the contents of a token. It stores
// nothing.
type startPage struct {
	server atomic.Pointer[helseidtest.Server] // set when it has started
	path   string
}

// maxToken bounds the form with a token, in bytes.
const maxToken = 64 << 10

func (s *startPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	server := s.server.Load()
	switch {
	case server == nil:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case r.URL.Path != s.path:
		http.NotFound(w, r)
		return
	}
	data := map[string]any{"Path": s.path, "Issuer": server.Issuer(), "Clients": server.Clients(), "Users": server.Users()}
	status := http.StatusOK
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodPost:
		r.Body = http.MaxBytesReader(w, r.Body, maxToken)
		token, err := decode(r.PostFormValue("token"), time.Now())
		if err != nil {
			status = http.StatusBadRequest
			data["Problem"] = err.Error()
		}
		data["Token"] = token
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	writePage(w, status, startTemplate, data, "'self'")
}

// decoded holds the contents of a token, whose signature has not been checked.
type decoded struct {
	Header, Claims string
	Expiry         string
	Expired        bool
}

// shown is an error whose text is for users.
type shown string

func (s shown) Error() string { return string(s) }

const errNotToken = shown("Det er ikke et token: det skal være tre deler med punktum mellom, og JSON i de to første.")

func decode(text string, now time.Time) (*decoded, error) {
	text = strings.TrimSpace(text)
	for _, scheme := range []string{"DPoP ", "Bearer "} {
		text = strings.TrimPrefix(text, scheme)
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return nil, errNotToken
	}
	var objects [2]string
	for i := range objects {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		var pretty bytes.Buffer
		if err != nil || json.Indent(&pretty, data, "", "  ") != nil {
			return nil, errNotToken
		}
		objects[i] = pretty.String()
	}
	token := &decoded{Header: objects[0], Claims: objects[1]}
	var times struct {
		Expiry float64 `json:"exp"`
	}
	if json.Unmarshal([]byte(token.Claims), &times) == nil && times.Expiry > 0 {
		expiry := time.Unix(int64(times.Expiry), 0)
		token.Expiry, token.Expired = expiry.Local().Format(time.DateTime), !now.Before(expiry)
	}
	return token, nil
}
