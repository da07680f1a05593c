package desk

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/helseid-go/sdk/internal/metadata"
)

const (
	// answerTimeout is how long another server on this machine may take to answer.
	answerTimeout = 2 * time.Second

	// maxMetadata bounds its answer, in bytes.
	maxMetadata = 1 << 20
)

// isOfAnotherRun returns an error if a configuration file is for a server that still
// answers, and is not the one at the issuer. Without its file, that server's client is gone.
func isOfAnotherRun(issuer string) func(content []byte) error {
	return func(content []byte) error {
		var file struct{ Authority string }
		if err := json.Unmarshal(content, &file); err != nil || file.Authority == issuer || !answers(file.Authority) {
			return nil //nolint:nilerr // what is no configuration file has been refused before
		}
		return fmt.Errorf("it is for the server at %s, which is running", file.Authority)
	}
}

// answers reports that an issuer publishes its metadata. Another issuer at the same address
// does not count.
func answers(issuer string) bool {
	transport := &http.Transport{ // without a proxy: it is on this machine
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // its authority is its own, and it is told nothing
	}
	client := &http.Client{Transport: transport, Timeout: answerTimeout}
	response, err := client.Get(strings.TrimRight(issuer, "/") + "/.well-known/openid-configuration") //nolint:noctx // it has a timeout
	if err != nil {
		return false
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxMetadata))
	if err != nil || response.StatusCode != http.StatusOK {
		return false
	}
	_, err = metadata.Parse(body, issuer)
	return err == nil
}
