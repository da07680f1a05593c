package tokenvalidation

import (
	"crypto/sha256"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/testkit"
	"github.com/helseid-go/sdk/internal/verification"
)

// tokenOf makes the claims of a token of about this many bytes.
func tokenOf(t testing.TB, i, length int) (hash tokenHash, size int, claims *Claims) {
	t.Helper()
	payload := fmt.Sprintf(`{"iss":"https://helseid.test","aud":["a","b"],"sub":"s\u00e6%d","jti":%q,"scope":["a/read","b/read"],"exp":1000,`+
		`"amr":["pwd"],"helseid://claims/identity/pid":"06828399789","filler":%q}`, i, fmt.Sprint("id", i), strings.Repeat("x", length*3/4))
	object, err := jose.ParseObject([]byte(payload))
	require.NoError(t, err)
	return sha256.Sum256([]byte(payload)), len(payload)*4/3 + 400, decodeClaims(object)
}

func (m *memory) held() (tokens, bytes int) {
	for i := range m.shards {
		m.shards[i].mu.Lock()
		tokens += len(m.shards[i].tokens)
		bytes += m.shards[i].bytes
		m.shards[i].mu.Unlock()
	}
	return tokens, bytes
}

// Remembered is how many tokens a validator remembers and how many bytes it may use, for
// the tests outside the package.
func (v *Validator) Remembered() (tokens, limit int) {
	if v.memory == nil {
		return 0, 0
	}
	tokens, _ = v.memory.held()
	return tokens, v.memory.limit * memoryShards
}

// nowhere is for stores whose sweep is not waited for.
func nowhere() present { return present{} }

func put(m *memory, hash tokenHash, size int, claims *Claims, generation uint64, now int64) {
	m.remember(hash, size, verification.Token{Generation: generation, Validity: verification.Validity{Expiry: 1000}}, claims, present{generation, now, 5})
}

// The store keeps within its bytes, however many tokens come and of what size,
// and what it counts is what the heap holds. It runs beside no other test.
func TestMemoryIsBoundedInBytes(t *testing.T) {
	const limit = 2 << 20
	for _, length := range []int{200, 1300, 5000, 16000} {
		before := heap()
		m := newMemory(limit, nowhere)
		for i := range 3 * limit / (length + 1500) {
			hash, size, claims := tokenOf(t, i, length)
			put(m, hash, size, claims, 1, 1)
		}
		grown := heap() - before
		tokens, bytes := m.held()
		t.Logf("%d bytes each: %d tokens, %d bytes counted, %d held", length, tokens, bytes, grown)
		require.LessOrEqual(t, bytes, limit)
		require.Greater(t, bytes, limit*3/4, "it uses the room")
		require.LessOrEqual(t, grown, bytes, "it counts no less than it holds")
		for i := range m.shards {
			sum := 0
			for _, token := range m.shards[i].tokens {
				sum += token.bytes
			}
			require.Equal(t, sum, m.shards[i].bytes)
		}
		runtime.KeepAlive(m)
	}
}

func heap() int {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

func TestMemoryRecallsByHashGenerationAndTime(t *testing.T) {
	t.Parallel()
	m := newMemory(1<<20, nowhere)
	hash, size, claims := tokenOf(t, 1, 1000)
	m.remember(hash, size, verification.Token{Generation: 3, Validity: verification.Validity{Start: 500, Expiry: 1000}}, claims, present{3, 600, 5})
	for name, test := range map[string]struct {
		hash       tokenHash
		generation uint64
		now        int64
		found      bool
	}{
		"as it was":          {hash, 3, 600, true},
		"another token":      {tokenHash{hash[0]}, 3, 600, false},
		"older keys":         {hash, 2, 600, false},
		"newer keys":         {hash, 4, 600, false},
		"no keys":            {hash, 0, 600, false},
		"first second":       {hash, 3, 495, true},
		"too early":          {hash, 3, 494, false},
		"last second":        {hash, 3, 1004, true},
		"expired":            {hash, 3, 1005, false},
		"the end of time":    {hash, 3, 1 << 62, false},
		"long before it all": {hash, 3, -1 << 62, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found, ok := m.recall(test.hash, present{test.generation, test.now, 5})
			require.Equal(t, test.found, ok)
			require.Equal(t, test.found, found != nil)
		})
	}
	never := newMemory(1<<20, nowhere)
	never.remember(hash, size, verification.Token{Validity: verification.Validity{Expiry: 1000}}, claims, present{3, 600, 5})
	_, ok := never.recall(hash, present{0, 600, 5})
	require.False(t, ok, "without keys nothing is known")
}

// A token in use outlives those that came for nothing.
func TestMemoryKeepsWhatIsUsed(t *testing.T) {
	t.Parallel()
	m := newMemory(1<<20, nowhere)
	busy, size, claims := tokenOf(t, -1, 1000)
	put(m, busy, size, claims, 1, 1)
	for i := range 5000 {
		now := int64(2 + i/10)
		_, ok := m.recall(busy, present{1, now, 5})
		require.True(t, ok, "after %d others", i)
		hash, size, claims := tokenOf(t, i, 1000)
		put(m, hash, size, claims, 1, now)
	}
}

// Personal data goes when it is of no use any more, though no other token comes.
func TestMemoryForgetsWhatIsDead(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		later present
		left  int
	}{
		"it is good":      {present{1, 1004, 5}, 1},
		"it has expired":  {present{1, 1005, 5}, 0},
		"the keys change": {present{2, 100, 5}, 0},
		"no keys":         {present{0, 100, 5}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var at atomic.Pointer[present]
				at.Store(&present{1, 1, 5})
				m := newMemory(1<<20, func() present { return *at.Load() })
				t.Cleanup(m.close)
				hash, size, claims := tokenOf(t, 1, 1000)
				put(m, hash, size, claims, 1, 1)
				for range 3 {
					testkit.Sleep(sweepInterval + time.Second)
					synctest.Wait()
					tokens, _ := m.held()
					require.Equal(t, 1, tokens)
				}
				at.Store(&test.later)
				testkit.Sleep(sweepInterval)
				synctest.Wait()
				tokens, bytes := m.held()
				require.Equal(t, test.left, tokens)
				require.Equal(t, test.left > 0, bytes > 0)
				m.mu.Lock()
				defer m.mu.Unlock()
				require.Equal(t, test.left > 0, m.sweep != nil, "a sweep is to come while something is left")
			})
		})
	}
}

// A token that is kept while a sweep is under way, which may have passed by its place,
// gets a sweep of its own.
func TestMemorySweepsWhatComesDuringASweep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var m *memory
		sweeps := 0
		m = newMemory(1<<20, func() present {
			if sweeps++; sweeps == 1 {
				m.scheduleSweep() // as keeping one does
			}
			return present{1, 2000, 5}
		})
		t.Cleanup(m.close)
		hash, size, claims := tokenOf(t, 1, 1000)
		put(m, hash, size, claims, 1, 1)
		testkit.Sleep(2*sweepInterval + time.Second)
		synctest.Wait()
		require.Equal(t, 2, sweeps)
	})
}

// However many tokens come, there is one sweep in each interval, and none after the end.
func TestMemorySweepsOnceInAnInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sweeps := 0
		m := newMemory(1<<20, func() present { sweeps++; return present{1, 1, 5} })
		for i := range 20 {
			hash, size, claims := tokenOf(t, i, 1000)
			put(m, hash, size, claims, 1, 1)
			testkit.Sleep(time.Second)
		}
		testkit.Sleep(3*sweepInterval - 20*time.Second + time.Millisecond)
		synctest.Wait()
		require.Equal(t, 3, sweeps)
		m.close()
		m.scheduleSweep()
		testkit.Sleep(2 * sweepInterval)
		synctest.Wait()
		require.Equal(t, 3, sweeps)
	})
}

// Once closed it holds nothing and takes nothing, whatever validations are under way.
func TestMemoryIsClosedForGood(t *testing.T) {
	t.Parallel()
	m := newMemory(1<<20, nowhere)
	hash, size, claims := tokenOf(t, 1, 1000)
	put(m, hash, size, claims, 1, 1)
	m.close()
	put(m, hash, size, claims, 1, 1)
	tokens, bytes := m.held()
	require.Zero(t, tokens)
	require.Zero(t, bytes)
	_, ok := m.recall(hash, present{1, 1, 5})
	require.False(t, ok)
}

// A token that comes again, as after a change of keys, is counted once.
func TestMemoryCountsATokenOnce(t *testing.T) {
	t.Parallel()
	m := newMemory(1<<20, nowhere)
	hash, size, claims := tokenOf(t, 1, 1000)
	put(m, hash, size, claims, 1, 1)
	_, before := m.held()
	put(m, hash, size, claims, 2, 2)
	tokens, after := m.held()
	require.Equal(t, 1, tokens)
	require.Equal(t, before, after)
}

// Whatever makes claims larger is counted: an attacker who chooses them cannot make the
// memory larger than its limit.
func TestFootprintCountsEveryPart(t *testing.T) {
	t.Parallel()
	const many = 1000
	text, patient := int(unsafe.Sizeof("")), int(unsafe.Sizeof(Patient{}))
	empty := func() *Claims { return &Claims{object: func() jose.Object { return jose.Object{} }} }
	base := empty().footprint(0)
	require.GreaterOrEqual(t, base, int(unsafe.Sizeof(Claims{})))
	require.Equal(t, 2*many, empty().footprint(many)-base, "the token's texts and unescaped copies")
	for name, test := range map[string]struct {
		add  func(*Claims)
		size int
	}{
		"audience":        {func(c *Claims) { c.Audience = make([]string, many) }, many * text},
		"scopes":          {func(c *Claims) { c.Scopes = make([]string, many) }, many * text},
		"room for scopes": {func(c *Claims) { c.Scopes = make([]string, 0, many) }, many * text},
		"malformed":       {func(c *Claims) { c.Malformed = []string{strings.Repeat("x", many)} }, text + many},
		"actor":           {func(c *Claims) { c.Actor = &Actor{} }, int(unsafe.Sizeof(Actor{}))},
		"actor's actor":   {func(c *Claims) { c.Actor = &Actor{Actor: &Actor{}} }, 2 * int(unsafe.Sizeof(Actor{}))},
		"user":            {func(c *Claims) { c.User = &identity.User{} }, int(unsafe.Sizeof(identity.User{}))},
		"methods": {func(c *Claims) { c.User = &identity.User{AuthenticationMethods: make([]string, many)} },
			int(unsafe.Sizeof(identity.User{})) + many*text},
		"attest":   {func(c *Claims) { c.Attest = &Attest{} }, int(unsafe.Sizeof(Attest{}))},
		"patients": {func(c *Claims) { c.Attest = &Attest{Patients: make([]Patient, many)} }, int(unsafe.Sizeof(Attest{})) + many*patient},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claims := empty()
			test.add(claims)
			require.Equal(t, test.size, claims.footprint(0)-base)
		})
	}
}

// A token takes what its claims take, its record and the overhead; and all the room there
// is may be used.
func TestMemoryUsesItsRoomToTheLastByte(t *testing.T) {
	t.Parallel()
	hash, size, claims := tokenOf(t, 1, 1000)
	other := hash
	other[len(other)-1]++ // of the same shard
	one := claims.footprint(size) + int(unsafe.Sizeof(remembered{})) + rememberedOverhead
	for name, test := range map[string]struct{ limit, kept int }{
		"one byte less than one":  {one - 1, 0},
		"exactly one":             {one, 1},
		"one byte less than both": {2*one - 1, 1},
		"exactly both":            {2 * one, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMemory(test.limit*memoryShards, nowhere)
			t.Cleanup(m.close)
			put(m, hash, size, claims, 1, 1)
			put(m, other, size, claims, 1, 1)
			tokens, bytes := m.held()
			require.Equal(t, test.kept, tokens)
			require.Equal(t, test.kept*one, bytes)
		})
	}
}

// To make room costs the same in a full memory as in a small one, and always finds a
// token, whatever the clock says.
func TestLeastUsedOfASample(t *testing.T) {
	t.Parallel()
	shard := memoryShard{tokens: make(map[tokenHash]*remembered)}
	add := func(i int, used int64) tokenHash {
		hash := tokenHash{byte(i), byte(i >> 8), 1}
		shard.tokens[hash] = &remembered{}
		shard.tokens[hash].used.Store(used)
		return hash
	}
	only := add(0, math.MaxInt64)
	require.Equal(t, only, shard.leastUsed())
	for i := 1; i < memorySample; i++ {
		add(i, int64(i))
	}
	require.Equal(t, tokenHash{1, 0, 1}, shard.leastUsed(), "all of them are in the sample")
	for i := range 100 * memorySample {
		add(i, int64(i))
	}
	found := make(map[tokenHash]bool)
	for range 20 {
		found[shard.leastUsed()] = true
	}
	require.Greater(t, len(found), 1, "it does not look at all of them")
}

// A chain of actors is read as far as the limit, also if nobody has refused a longer one
// before.
func TestActorsAreReadToTheLimit(t *testing.T) {
	t.Parallel()
	for actors, want := range map[int]int{1: 1, maxActors: maxActors, maxActors + 1: maxActors, maxActors + 5: maxActors} {
		payload := strings.Repeat(`{"act":`, actors) + `{}` + strings.Repeat(`}`, actors)
		object, err := jose.ParseObject([]byte(payload))
		require.NoError(t, err)
		claims, read := decodeClaims(object), 0
		for actor := claims.Actor; actor != nil; actor = actor.Actor {
			read++
		}
		require.Equal(t, want, read, "of %d", actors)
		require.Equal(t, actors > maxActors, slices.Contains(claims.Malformed, "act"), "of %d", actors)
		require.Equal(t, actors > maxActors, tooManyActors(object), "of %d", actors)
	}
}

func BenchmarkRecall(b *testing.B) {
	m := newMemory(1<<20, nowhere)
	hash, size, claims := tokenOf(b, 1, 1000)
	put(m, hash, size, claims, 1, 1)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, ok := m.recall(hash, present{1, 1, 5}); !ok {
				b.Fail()
				return
			}
		}
	})
}
