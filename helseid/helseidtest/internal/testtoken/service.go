// Package testtoken mints tokens and proofs as HelseID's Test-Token-Tjenesten (TTT)
// does, from the same JSON.
//
// Source: Norsk helsenett, HelseID.Samples (TestTokenDemo, TestTokenTool).
package testtoken

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/helseid-go/sdk/helseid/helseidtest/internal/answer"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/internal/jose"
)

// Path is the endpoint's, below the issuer.
const Path = "/v2/create-test-token-with-key"

// Person is the data that belongs to a person's number.
type Person struct {
	GivenName, MiddleName, FamilyName, HPRNumber, Subject string
}

// Service is the endpoint. All fields are required.
type Service struct {
	// Key is the required value of the header X-Auth-Key.
	Key string

	// Minter makes the tokens and proofs.
	Minter *mint.Minter

	// Person finds a person who can log in.
	Person func(personalIdentityNumber string) (person Person, known bool)

	// SomeUser returns the claims of one of them.
	SomeUser func() map[string]any
}

// ServeHTTP responds in TTT's format.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method != http.MethodPost:
		answerProblem(w, http.StatusMethodNotAllowed, "the endpoint takes POST only")
		return
	case subtle.ConstantTimeCompare([]byte(r.Header.Get("X-Auth-Key")), []byte(s.Key)) != 1:
		answerProblem(w, http.StatusUnauthorized, "the header X-Auth-Key is missing or wrong")
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		answerProblem(w, http.StatusRequestEntityTooLarge, "the body is too large")
		return
	}
	token, proof, err := s.mint(body)
	if err != nil {
		answerProblem(w, http.StatusBadRequest, err.Error())
		return
	}
	success := map[string]any{"accessTokenJwt": token, "dPoPProof": nil}
	if proof != "" {
		success["dPoPProof"] = proof
	}
	answer.JSON(w, http.StatusOK, map[string]any{"isError": false, "successResponse": success, "errorResponse": nil})
}

func answerProblem(w http.ResponseWriter, status int, problem string) {
	answer.JSON(w, status, map[string]any{
		"isError": true, "successResponse": nil, "errorResponse": map[string]any{"errorMessage": problem},
	})
}

// mint makes the token and the proof that a request describes.
func (s *Service) mint(body []byte) (token, proof string, err error) {
	object, err := jose.ParseObject(body)
	if err != nil {
		return "", "", fmt.Errorf("the body is not a JSON object: %w", err)
	}
	asked := &request{service: s, reader: &memberReader{object: object, wrong: new([]string)}}
	asked.read()
	if wrong := *asked.reader.wrong; len(wrong) > 0 {
		return "", "", errors.New("these members are missing, malformed or not supported: " + strings.Join(wrong, ", "))
	}
	token, err = s.Minter.AccessToken(asked.token...)
	if err != nil || !asked.wantsProof {
		return token, "", err
	}
	proof, err = s.Minter.Proof(asked.method, asked.target, token, asked.proof...)
	return token, proof, err
}
