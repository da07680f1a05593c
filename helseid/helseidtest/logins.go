package helseidtest

import (
	"maps"
	"sync"
	"time"
)

// logins is the server's memory of logins.
type logins struct {
	mu       sync.Mutex
	pushed   map[string]*authorization  // by request URI
	pending  map[string]*PendingLogin   // by id
	browsers map[string]*browserSession // by cookie
	codes    map[string]*code
	refresh  map[string]*refreshToken
	access   map[string]*accessToken // by jti
}

func newLogins() *logins {
	return &logins{
		pushed:   make(map[string]*authorization),
		pending:  make(map[string]*PendingLogin),
		browsers: make(map[string]*browserSession),
		codes:    make(map[string]*code),
		refresh:  make(map[string]*refreshToken),
		access:   make(map[string]*accessToken),
	}
}

// login is who logged in, and how. It does not change.
type login struct {
	user     User
	level    int
	idp      string
	amr      []string
	authTime time.Time
	sid      string
}

// grant is what a login permits to a client until it is revoked. It groups the tokens
// that were issued for one code.
type grant struct {
	*authorization
	login   login
	binding string    // the DPoP key of the refresh tokens, or ""
	expiry  time.Time // of the refresh tokens, however often they rotate
	revoked bool
}

// code is an authorization code. It is kept after its use, so that reuse is detected.
type code struct {
	*authorization
	login  login
	expiry time.Time
	used   bool
	grant  *grant // set when the code is used
}

type refreshToken struct {
	*grant
	used bool
}

type accessToken struct {
	*grant
	expiry time.Time
}

// maxRemembered is the number of entries after which expired ones are deleted.
const maxRemembered = 10_000

// sweep deletes expired entries. Codes and refresh tokens are kept as long as their
// reuse must be detected.
func (l *logins) sweep(now time.Time) {
	if len(l.pushed)+len(l.pending)+len(l.codes)+len(l.refresh)+len(l.access) < maxRemembered {
		return
	}
	maps.DeleteFunc(l.pushed, func(_ string, a *authorization) bool { return now.After(a.expiry) })
	maps.DeleteFunc(l.pending, func(_ string, p *PendingLogin) bool { return now.After(p.expiry) })
	maps.DeleteFunc(l.codes, func(_ string, c *code) bool {
		return now.After(c.expiry) && (c.grant == nil || now.After(c.grant.expiry))
	})
	maps.DeleteFunc(l.refresh, func(_ string, t *refreshToken) bool { return now.After(t.grant.expiry) })
	maps.DeleteFunc(l.access, func(_ string, t *accessToken) bool { return now.After(t.expiry) })
}
