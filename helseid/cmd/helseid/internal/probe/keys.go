package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/selvbetjening"
)

// registered are keys that have been registered, one in each form of the body.
type registered struct {
	working *clientassertion.Key // the newest that was taken, or nil
	known   bool                 // HelseID has been seen to take it
}

var keyQuestions = []question{
	{
		"key_body", "Which body does Selvbetjening's /v1/client-secret take: a JWK, or a text that holds one?",
		"with -register-key: two new keys are registered, one in each form; both are in the file before",
		func(ctx context.Context, l *lab) (found answer, err error) {
			if l.keyFile == "" {
				return found, needsKeyFile
			}
			client, err := helseid.New(l.config)
			if err != nil {
				return found, err
			}
			defer client.Close()
			asText, asObject, err := l.writeKeys(ctx)
			if err != nil {
				return found, err
			}
			l.note("the keys that are now registered are in %s, which is the client's new configuration file", l.keyFile)
			l.newKey = &registered{}
			taken := map[string]bool{}
			for _, form := range []struct {
				name string
				key  *clientassertion.Key
				text bool
			}{{"a text", asText, true}, {"a JWK", asObject, false}} {
				taken[form.name], err = l.register(ctx, client, form.key, form.text, form.name, &found)
				if err != nil {
					return found, err
				}
			}
			switch {
			case taken["a text"] && taken["a JWK"]:
				found.text = "both"
			case taken["a text"]:
				found.text = "a text"
				err = l.changeKeys(ctx, func(keys *selvbetjening.StoredKeys) {
					keys.Current, keys.CurrentSince = asText, keys.PendingSince
					keys.Pending, keys.PendingSince = nil, time.Time{}
				})
			case taken["a JWK"]:
				found.text = "a JWK"
			default:
				found.text = "neither"
			}
			return found, err
		},
	},
	{
		"key_delay", "How long after its registration is a new key known?", "with -register-key: token requests with the new key, until one is answered",
		func(ctx context.Context, l *lab) (found answer, err error) {
			if err := l.needNewKey(); err != nil {
				return found, err
			}
			key, err := signingKey(l.newKey.working)
			if err != nil {
				return found, err
			}
			var waited time.Duration
			for _, next := range seconds(0, 2, 5, 10, 15, 20, 30, 60, 120) {
				if !l.sleep(ctx, next-waited) {
					return found, ctx.Err()
				}
				waited = next
				got, err := l.try(ctx, attempt{key: key})
				if err != nil {
					return found, err
				}
				found.see(fmt.Sprintf("after %v", waited), got)
				if l.newKey.known = got.ok(); got.ok() {
					found.text = fmt.Sprintf("%v at most", waited)
					return found, nil
				}
			}
			found.text = fmt.Sprintf("longer than %v", waited)
			return found, nil
		},
	},
	{
		"old_key", "Does the old key live on when another one is registered?", "with -register-key: token requests with the old key, at once and half a minute after the new one is known",
		func(ctx context.Context, l *lab) (found answer, err error) {
			if err := l.needNewKey(); err != nil {
				return found, err
			}
			if !l.newKey.known {
				return found, notAskedError("the new key is not known yet")
			}
			var last reply
			for _, wait := range seconds(0, 30) {
				if !l.sleep(ctx, wait) {
					return found, ctx.Err()
				}
				if last, err = l.try(ctx, attempt{}); err != nil {
					return found, err
				}
				found.see(fmt.Sprintf("the old key, %v after", wait), last)
			}
			found.text = yesNo(last.ok())
			return found, nil
		},
	},
}

func (l *lab) needNewKey() error {
	switch {
	case l.keyFile == "":
		return needsKeyFile
	case l.newKey == nil || l.newKey.working == nil:
		return notAskedError("no new key has been registered: key_body does that")
	}
	return nil
}

// writeKeys makes two keys, and writes the configuration file with both before anything is
// registered.
func (l *lab) writeKeys(ctx context.Context) (asText, asObject *clientassertion.Key, err error) {
	if l.configFile == "" || l.configFile == "-" {
		return nil, nil, notAskedError("-register-key needs a configuration file to make the new one of")
	}
	if asText, err = clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: clientassertion.P256}); err != nil {
		return nil, nil, err
	}
	if asObject, err = clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: clientassertion.P256}); err != nil {
		return nil, nil, err
	}
	if err := copyNew(l.configFile, l.keyFile); err != nil {
		return nil, nil, err
	}
	now := time.Now()
	return asText, asObject, l.changeKeys(ctx, func(keys *selvbetjening.StoredKeys) {
		keys.Replaced = append(keys.Replaced, keys.Current.ID()) // which stays registered
		keys.Current, keys.CurrentSince = asObject, now
		keys.Pending, keys.PendingSince = asText, now
	})
}

// changeKeys changes the keys in the new configuration file.
func (l *lab) changeKeys(ctx context.Context, change func(*selvbetjening.StoredKeys)) error {
	store := selvbetjening.FileStore{Path: l.keyFile}
	keys, err := store.Load(ctx)
	if err != nil {
		return err
	}
	change(&keys)
	_, err = store.Save(ctx, keys)
	return err
}

// copyNew copies to a file that must not exist yet.
func copyNew(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}

func (l *lab) register(ctx context.Context, client *helseid.Client, key *clientassertion.Key, text bool, name string, found *answer) (bool, error) {
	self, err := selvbetjening.New(selvbetjening.Config{Client: client, BaseURL: l.selfURL, JWKAsText: text, Organization: l.request.Organization})
	if err != nil {
		return false, err
	}
	l.requests++
	expiry, err := self.AddClientSecret(ctx, key)
	refused, isRefusal := errors.AsType[*selvbetjening.Error](err)
	switch {
	case isRefusal:
		found.seen = append(found.seen, fmt.Sprintf("%s: refused with %d", name, refused.Status))
		return false, nil
	case errors.Is(err, helseid.ErrNoToken):
		return false, notAskedError("the client gets no token for HelseID Selvbetjening: it needs the scope " + selvbetjening.Scope)
	case err != nil:
		return false, err
	}
	l.newKey.working = key
	line := name + ": taken"
	if !expiry.IsZero() {
		line += fmt.Sprintf(", it expires in %.0f days", time.Until(expiry).Hours()/24)
	}
	found.seen = append(found.seen, line)
	return true, nil
}
