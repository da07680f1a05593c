package weblogin_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
)

// A process that ends between any two steps costs at worst a new login, and no user gets
// another user's session.
func TestRestart(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]struct {
		do    func(*world)
		loses bool
	}{
		"with the same store and key": {(*world).start, false},
		"with another key": {func(w *world) {
			var err error
			w.client.DPoPKey, err = dpop.GenerateKey(dpop.KeyOptions{})
			require.NoError(w, err)
			w.start()
		}, true},
		"with an empty store": {func(w *world) {
			w.client.Store = &helseid.MemoryStore{}
			w.start()
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for step, at := range []string{"before the login page", "at the login page", "before the callback", "after the callback", "before the logout"} {
				t.Run(at, func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, nil)
					other, b := w.newBrowser(), w.newBrowser()
					other.logIn("/login", asElg())
					now := func(i int) {
						if i == step {
							restart.do(w)
						}
					}
					login := b.get("/me").location(t)
					now(0)
					target := b.begin(login)
					now(1)
					callback := b.authenticate(target)
					now(2)
					answer := b.get(callback)
					if restart.loses && (step == 1 || step == 2) {
						require.Equal(t, http.StatusBadRequest, answer.StatusCode)
						require.Equal(t, "nobody", b.who())
						require.Equal(t, "/", b.logIn("/login"), "one new login mends it")
					}
					now(3)
					if restart.loses && step == 3 {
						require.Equal(t, "nobody", b.who())
						b.logIn("/login")
					}
					require.Equal(t, grevling, b.who())
					now(4)
					b.send("POST", "/logout").location(t)
					require.Equal(t, "nobody", b.who())
					require.Contains(t, []string{elg, "nobody"}, other.who())
				})
			}
		})
	}
}
