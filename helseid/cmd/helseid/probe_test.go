package main_test

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// Every question is asked, also those that log in and register keys, and the report can be
// sent to anybody.
func TestProbe(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	redirect := "http://" + listener.Addr().String() + "/callback"
	require.NoError(t, listener.Close())
	server := helseidtest.NewServer(t, helseidtest.Selvbetjening{KeyDelay: time.Second})
	file := configFile(t, server, helseidtest.Client{
		Scopes: []string{"nhn:demo-api/read", helseidtest.SelvbetjeningScope, "offline_access"}, RedirectURIs: []string{redirect}, ChildOrganizations: []string{"999977775"},
	})
	newFile := filepath.Join(t.TempDir(), "new.json")
	p := begin(t, t.TempDir(), nil, "probe", "-json", "-config", file, "-scope", "nhn:demo-api/read", "-child", "999977775", "-patience", "0s", "-login",
		"-register-key", newFile, "-selvbetjening", server.SelvbetjeningURL(), "-only", "nonce_reuse,organization_form,refresh_reuse,key_body,key_delay")
	require.Equal(t, server.Issuer(), p.event()["issuer"])
	answers := make(map[string]string)
	for range 5 {
		event := p.event()
		if event["question"] == "organization_form" {
			openLogin(t, p)
		}
		answers[event["question"].(string)], _ = event["answer"].(string)
	}
	require.Equal(t, "yes", answers["nonce_reuse"])
	require.Contains(t, answers["organization_form"], "urn:oid:2.16.578.1.12.4.1.4.101")
	require.Contains(t, answers["refresh_reuse"], "no; the second use ends")
	require.Equal(t, "both", answers["key_body"])
	require.Equal(t, "2s at most", answers["key_delay"])
	require.EqualValues(t, 5, p.event()["answered"])
	require.Equal(t, 0, p.stop())
	content, err := os.ReadFile(newFile)
	require.NoError(t, err)
	rememberKeys(t, content)
	requireNoSecret(t, p.stderr.String())
	_, err = helseid.LoadConfig(newFile)
	require.NoError(t, err)
}

// openLogin opens the URL that the probe prints, as a browser whose user logs in at once.
func openLogin(t *testing.T, p *process) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(p.stderr.String(), "log in as a test user") }, 20*time.Second, 10*time.Millisecond)
	_, rest, _ := strings.Cut(p.stderr.String(), "on this machine: ")
	response, err := new(http.Client).Get(strings.TrimSpace(strings.SplitN(rest, "\n", 2)[0]))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
}

func TestProbeInWords(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	file := configFile(t, server, helseidtest.Client{ID: "the-client", Scopes: []string{"nhn:demo-api/read"}})
	got := run(t, nil, nil, "probe", "-config", file, "-patience", "0s")
	require.Equal(t, 0, got.exit, got.stderr)
	for _, part := range []string{"What http://127.0.0.1:", "nonce_reuse: Can a nonce be used more than once?\n  yes\n  - first use: 200", "not asked: it needs -login", "questions answered, with"} {
		require.Contains(t, got.stdout, part)
	}
	require.NotContains(t, got.stdout, "the-client")
}

// Without being asked to, it sends nothing, and to production never.
func TestProbeRefusals(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	file := configFile(t, server, helseidtest.Client{Scopes: []string{"nhn:demo-api/read"}})
	got := run(t, nil, nil, "probe", "-config", file, "-issuer", helseid.Production.Issuer())
	require.Equal(t, 2, got.exit)
	require.Contains(t, got.stderr, "never against production")
	for _, arguments := range [][]string{{"-only", "nothing"}, {"argument"}, {"-patience", "x"}, {"-parent", "1"}} {
		got = run(t, nil, nil, append([]string{"probe", "-config", file}, arguments...)...)
		require.Equal(t, 2, got.exit, got.stderr)
	}
	got = run(t, nil, nil, "probe", "-list", "-json")
	require.Equal(t, 0, got.exit, "it needs no configuration")
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	require.Greater(t, len(lines), 20)
	for _, line := range lines {
		var event struct{ Event, Question, Text, Sends string }
		require.NoError(t, json.Unmarshal([]byte(line), &event))
		require.Equal(t, "question", event.Event)
		require.NotEmpty(t, event.Sends)
	}
	got = run(t, []string{"HELSEID_LOGIN=true", "HELSEID_REGISTER_KEY=x"}, nil, "probe", "-config", file, "-only", "userinfo_scheme,key_body")
	require.Equal(t, 0, got.exit, got.stderr)
	require.Contains(t, got.stdout, "0 of 2 questions answered", "a variable changes nothing at HelseID")
	require.Empty(t, server.Requests(helseidtest.EndpointPAR))
}
