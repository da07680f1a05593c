package main

import (
	"context"
	"fmt"
	"io"
)

// apiOptions are the ways in which the API can be started.
type apiOptions struct {
	auth   authOptions // the authorization server whose tokens it takes
	nonces bool
}

// An apiServer is a running api.mjs.
type apiServer struct{ control }

// apiStats is what the API has seen since it was last reset.
type apiStats struct {
	Requests           int
	Accepted           int
	Refused            map[string]int // by reason
	DuplicateProofJTIs []string       `json:"duplicate_proof_jtis"`
	HTUWithQuery       int            `json:"htu_with_query"`
	FaultsHit          map[string]int `json:"faults_hit"`
	Last               struct {       // the last call let in
		Query, Scope string
		ClientID     string `json:"client_id"`
	}
}

func startAPIServer(ctx context.Context, log io.Writer, auth authState, nonces bool) (*apiServer, *child, error) {
	args := []string{"--issuer", auth.Issuer, "--audience", auth.Audience}
	if nonces {
		args = append(args, "--nonces")
	}
	process, err := startNode(ctx, log, "api.mjs", args...)
	if err != nil {
		return nil, nil, err
	}
	return &apiServer{control{process.url}}, process, nil
}

func (s *apiServer) stats(ctx context.Context) (apiStats, error) {
	var stats apiStats
	err := s.control.stats(ctx, &stats)
	return stats, err
}

// check tells what no client may ever do, whatever else happens.
func (s apiStats) check() error {
	if n := len(s.DuplicateProofJTIs); n > 0 {
		return fmt.Errorf("%d proofs were sent twice to the API", n)
	}
	if s.HTUWithQuery > 0 {
		return fmt.Errorf("%d proofs have a query in htu", s.HTUWithQuery)
	}
	for reason, n := range s.Refused {
		if reason != "use_dpop_nonce" {
			return fmt.Errorf("the API refused %d calls: %s", n, reason)
		}
	}
	return nil
}
