package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
)

// authOptions are the ways in which the authorization server can be started.
type authOptions struct {
	nonces   bool
	lifetime int    // of access tokens, in seconds; the server's own default if zero
	jwksPath string // where the signing keys are; the server's own default if empty
	port     string // a free one if empty
	clients  string // state file of an earlier server whose clients it takes over; new ones if empty

	users       bool   // log users in, for every client
	unbound     bool   // bearer tokens for those who send no proof
	backChannel string // where clients are told that a user has logged out; nowhere if empty
}

// An authServer is a running authserver.mjs.
type authServer struct {
	control
	state     authState
	stateFile string
}

// authState is what the server says about itself in its state file.
type authState struct {
	Issuer   string
	Audience string
	JWKSPath string `json:"jwks_path"`
	Scopes   []string
	Clients  map[string]client // by algorithm

	// What the server adds to tokens for organisations.
	RegisteredParent string `json:"registered_parent"` // of a client that names no parent itself
	Supplier         string // of one that does

	// What it knows of logins.
	OtherAudience         string            `json:"other_audience"`
	RedirectURI           string            `json:"redirect_uri"`
	PostLogoutRedirectURI string            `json:"post_logout_redirect_uri"`
	UserScopes            map[string]string `json:"user_scopes"` // by the API that they are of
}

// forUsersOf is what an API must know whose users log in at the server.
func (s authState) forUsersOf(audience string) authState {
	s.Audience, s.Scopes = audience, []string{s.UserScopes[audience]}
	return s
}

// A client is registered at the server.
type client struct {
	ClientID   string         `json:"client_id"`
	PrivateJWK map[string]any `json:"private_jwk"`
}

// authStats is what the server has seen since it was last reset.
type authStats struct {
	Requests               int
	Paths                  map[string]int
	TokenRequests          int            `json:"token_requests"`
	Answers                map[string]int // "200", "503", "400 invalid_scope", "cut", …
	Scopes                 []*string
	Resources              []*string
	Details                []json.RawMessage // of each client assertion, null where there are none
	DuplicateAssertionJTIs []string          `json:"duplicate_assertion_jtis"`
	DuplicateProofJTIs     []string          `json:"duplicate_proof_jtis"`
	Violations             map[string]int
	Assertions             []assertion
	FaultsHit              map[string]int `json:"faults_hit"`

	Grants              map[string]int // token requests by grant type
	PathAnswers         map[string]int `json:"path_answers"` // "/connect/par 201", …
	Refusals            map[string]int // the provider's own reasons for refusing a token request
	Refreshed           int            // refresh tokens that were used up
	ReusedRefreshTokens int            `json:"reused_refresh_tokens"`
}

// An assertion is a client assertion as it arrived, without its signature.
type assertion struct {
	Header struct{ Alg, Kid string }
	Claims struct{ Iss, Sub, Aud string }
}

// startAuthServer starts a server that writes its state to this file.
func startAuthServer(ctx context.Context, log io.Writer, file string, options authOptions) (*authServer, *child, error) {
	args := []string{"--state", file}
	for name, value := range map[string]string{
		"--jwks-path": options.jwksPath,
		"--port":      options.port,
		"--clients":   options.clients,

		"--back-channel": options.backChannel,
	} {
		if value != "" {
			args = append(args, name, value)
		}
	}
	if options.nonces {
		args = append(args, "--nonces")
	}
	if options.users {
		args = append(args, "--users")
	}
	if options.unbound {
		args = append(args, "--unbound")
	}
	if options.lifetime > 0 {
		args = append(args, "--lifetime", strconv.Itoa(options.lifetime))
	}
	process, err := startNode(ctx, log, "authserver.mjs", args...)
	if err != nil {
		return nil, nil, err
	}
	server := &authServer{control: control{process.url}, stateFile: file}
	state, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(state, &server.state)
	}
	if err != nil {
		process.stop()
		return nil, nil, err
	}
	return server, process, nil
}

func (s *authServer) stats(ctx context.Context) (authStats, error) {
	var stats authStats
	err := s.control.stats(ctx, &stats)
	return stats, err
}

// check tells what no client may ever do, whatever else happens.
func (s authStats) check(scope string) error {
	if err := s.checkCredentials(); err != nil {
		return err
	}
	if slices.ContainsFunc(s.Scopes, func(sent *string) bool { return value(sent) != scope }) {
		return errors.New("a scope was sent that nobody asked for, or another was left out")
	}
	return nil
}

func (s authStats) checkCredentials() error {
	if n := len(s.DuplicateAssertionJTIs); n > 0 {
		return fmt.Errorf("%d client assertions were sent twice", n)
	}
	if n := len(s.DuplicateProofJTIs); n > 0 {
		return fmt.Errorf("%d proofs were sent twice to the token endpoint", n)
	}
	if len(s.Violations) > 0 {
		return fmt.Errorf("token requests break the rules: %v", s.Violations)
	}
	return nil
}

// value reads a parameter that may be left out.
func value(parameter *string) string {
	if parameter == nil {
		return ""
	}
	return *parameter
}
