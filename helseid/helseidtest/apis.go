package helseidtest

import "errors"

// API is an API as its owner has registered it.
type API struct {
	// Name is the API's short name, which scopes start with: the audience.
	// Required.
	Name string

	// Claims are the claims about the user in access tokens for the API, which
	// its owner decides and no client can change. Nil means all that the server
	// knows; sub, sid, idp, amr and auth_time come with every login.
	Claims []string
}

// AddAPI registers an API, or replaces the registration of its name. It decides
// about tokens that clients get; those of [Server.Token] say what their options say.
// Tokens for APIs that are not registered hold all claims about the user.
func (s *Server) AddAPI(api API) error {
	if api.Name == "" {
		return errors.New("helseidtest: an API needs a Name")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apis[api.Name] = api
	return nil
}

// RemoveAPI ends an API's registration.
func (s *Server) RemoveAPI(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.apis, name)
}
