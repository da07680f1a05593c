package helseidtest

import (
	"maps"
	"sync"
	"time"
)

// logins is what the server remembers of logins.
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

// grant is what a login allows a client until it is revoked: the tokens that
// were issued for one code.
type grant struct {
	*authorization
	login   login
	binding string    // the DPoP key of the refresh tokens, or ""
	expiry  time.Time // of the refresh tokens, however often they rotate
	revoked bool
}

// code is an authorization code. It stays after its use, to be recognised.
type code struct {
	*authorization
	login  login
	expiry time.Time
	used   bool
	grant  *grant // after its use
}

type refreshToken struct {
	*grant
	used bool
}

type accessToken struct {
	*grant
	expiry time.Time
}

// maxRemembered is how much is kept before what has expired is thrown away.
const maxRemembered = 10_000

// sweep forgets what has expired. Codes and refresh tokens stay as long as they
// could be used a second time.
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
