package helseidtest

import "errors"

// API is the registration of an API.
type API struct {
	// Name is the API's short name, with which its scopes start. It is the audience.
	// Required.
	Name string

	// Claims are the claims about the user in access tokens for the API. The API's
	// owner chooses them, and clients cannot change them. Nil means all that the server
	// knows. The claims sub, sid, idp, amr and auth_time are in every token of a user.
	Claims []string
}

// AddAPI registers an API, or replaces the registration with the same name. It affects
// the tokens that clients get; the claims of [Server.Token] depend on its options only.
// Tokens for APIs that are not registered have all claims about the user.
func (s *Server) AddAPI(api API) error {
	if api.Name == "" {
		return errors.New("helseidtest: an API needs a Name")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apis[api.Name] = api
	return nil
}

// RemoveAPI removes an API's registration.
func (s *Server) RemoveAPI(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.apis, name)
}
