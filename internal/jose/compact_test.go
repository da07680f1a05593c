package jose

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseCompact(t *testing.T) {
	t.Parallel()
	header, payload, signature := segment(`{"alg":"ES256"}`), segment("payload"), segment("signature")
	good := header + "." + payload + "." + signature

	t.Run("good", func(t *testing.T) {
		t.Parallel()
		compact, err := ParseCompact(good, len(good))
		require.NoError(t, err)
		require.Equal(t, `{"alg":"ES256"}`, compact.HeaderJSON)
		require.Equal(t, "payload", string(compact.Payload))
		alg, _ := compact.Header.Get("alg").Text()
		require.Equal(t, "ES256", alg)
	})
	t.Run("empty payload", func(t *testing.T) {
		t.Parallel()
		compact, err := ParseCompact(header+".."+signature, 1000)
		require.NoError(t, err)
		require.Empty(t, compact.Payload)
	})
	t.Run("one byte too long", func(t *testing.T) {
		t.Parallel()
		_, err := ParseCompact(good, len(good)-1)
		require.Error(t, err)
	})
	// RFC 7515 section 4.1.11: an extension that is not understood makes the
	// JWS invalid, and none is understood here. Also crit in a bad form.
	for _, crit := range []string{`["exp"]`, `["b64"]`, `[]`, `null`, `"exp"`} {
		t.Run("crit "+crit, func(t *testing.T) {
			t.Parallel()
			_, err := ParseCompact(segment(`{"alg":"ES256","crit":`+crit+`}`)+"."+payload+"."+signature, 1000)
			require.Error(t, err)
		})
	}

	// "QQ" is the only strict form of "A"; "QR" has stray bits behind it.
	stray := "QR"
	for name, token := range map[string]string{
		"empty":                      "",
		"dots only":                  "..",
		"one part":                   header,
		"two parts":                  header + "." + payload,
		"four parts":                 good + ".AAAA",
		"five parts, as a JWE":       good + ".AAAA.AAAA",
		"no header":                  "." + payload + "." + signature,
		"no signature":               header + "." + payload + ".",
		"header is no object":        segment(`"x"`) + "." + payload + "." + signature,
		"header with duplicate alg":  segment(`{"alg":"ES256","alg":"none"}`) + "." + payload + "." + signature,
		"header with text behind it": segment(`{"alg":"ES256"}x`) + "." + payload + "." + signature,
		"padded header":              padded(header) + "." + payload + "." + signature,
		"padded payload":             header + "." + segment("payloa") + "==." + signature,
		"padded signature":           header + "." + payload + "." + segment("a") + "==",
		"standard alphabet +":        header + "." + payload + ".ab+d",
		"standard alphabet /":        header + "." + payload + ".ab/d",
		"stray bits in payload":      header + "." + stray + "." + signature,
		"stray bits in signature":    header + "." + payload + "." + stray,
		"one character over":         header + "." + payload + ".AAAAA",
		"line feed in header":        header[:4] + "\n" + header[4:] + "." + payload + "." + signature,
		"line feed in payload":       header + "." + payload[:4] + "\n" + payload[4:] + "." + signature,
		"return in signature":        header + "." + payload + "." + signature[:4] + "\r" + signature[4:],
		"trailing line feed":         good + "\n",
		"leading space":              " " + good,
		"space inside":               header + "." + payload[:4] + " " + payload[4:] + "." + signature,
		"general JSON serialisation": `{"payload":"` + payload + `","signatures":[{"protected":"` + header + `","signature":"` + signature + `"}]}`,
		"flat JSON serialisation":    `{"payload":"` + payload + `","protected":"` + header + `","signature":"` + signature + `"}`,
		"JSON with two dots":         `{"payload":"a.b.c"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseCompact(token, 10_000)
			require.ErrorIs(t, err, ErrMalformed)
		})
	}
}

// padded gives a segment padding in such a way that its length needs none or
// some; both are refused.
func padded(segment string) string { return segment + strings.Repeat("=", 4-len(segment)%4) }

func TestVerifyWantsTheKeysAlgorithm(t *testing.T) {
	t.Parallel()
	key := keyFor(t, RS256)
	// The signature is good each time; only the header lies. RFC 8725 section
	// 3.1: the verifier decides about the algorithm.
	for _, header := range []string{
		`{"alg":"none"}`, `{"alg":"RS384"}`, `{"alg":"PS256"}`, `{"alg":"HS256"}`, `{"alg":"rs256"}`, `{"alg":"RS256 "}`,
		`{}`, `{"alg":null}`, `{"alg":["RS256"]}`, `{"alg":256}`, `{"Alg":"RS256"}`, `{"ALG":"RS256"}`,
	} {
		t.Run(header, func(t *testing.T) {
			t.Parallel()
			require.ErrorIs(t, verify(sign(t, key, header, "x"), key.Public()), ErrAlgorithm)
		})
	}
	t.Run("escaped, but the same string", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, verify(sign(t, key, `{"\u0061lg":"\u0052S256"}`, "x"), key.Public()))
	})
}

func TestVerifyCoversHeaderAndPayload(t *testing.T) {
	t.Parallel()
	key := keyFor(t, ES256)
	token := sign(t, key, `{"alg":"ES256","kid":"a"}`, "payload")
	require.NoError(t, verify(token, key.Public()))
	parts := strings.Split(token, ".")
	require.ErrorIs(t, verify(segment(`{"alg":"ES256","kid":"b"}`)+"."+parts[1]+"."+parts[2], key.Public()), ErrSignature)
	require.ErrorIs(t, verify(parts[0]+"."+segment("Payload")+"."+parts[2], key.Public()), ErrSignature)
	other, err := GenerateKey()
	require.NoError(t, err)
	require.ErrorIs(t, verify(token, other.Public()), ErrSignature)
}

func FuzzParseCompact(f *testing.F) {
	for _, vector := range loadRFC(f).JWS {
		f.Add(vector.Token)
	}
	key := keyFor(f, ES256)
	f.Add(sign(f, key, `{"alg":"ES256","crit":[]}`, "x"))
	f.Add("..")
	f.Add("e30.e30.AA")
	f.Add("e30.\n.AA")
	f.Fuzz(func(t *testing.T, token string) {
		const limit = 10_000
		compact, err := ParseCompact(token, limit)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(token), limit)
		// There is exactly one spelling of a token: encoding the parts again
		// gives the text back.
		again := segment(compact.HeaderJSON) + "." + segment(string(compact.Payload)) + "." + segment(string(compact.signature))
		require.Equal(t, token, again)
		require.False(t, compact.Header.Has("crit"))
		require.Error(t, compact.Verify(key.Public()), "nobody can sign with this key but the test")
	})
}
