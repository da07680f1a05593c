package key

import (
	"context"
	"errors"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
	"github.com/helseid-go/sdk/helseid/selvbetjening"
)

func rotateCommand() cli.Command {
	return cli.Command{
		Name:    "rotate",
		Summary: "replace the key of a configuration file once, for cron",
		Help: `Makes a new key, saves it in the configuration file, registers it with HelseID, waits until a
token can be had with it, and only then puts it in the place of the old one in the file, which
works until then. A run that is interrupted is finished by the next one. The old key stays
registered until it expires: HelseID has no call that removes one. The client needs the scope
` + selvbetjening.Scope + `, and its file must be one from HelseID Selvbetjening that can be
written to.

With -within it replaces the key only if that expires within this time, or has a third of its
lifetime left if that is less, and otherwise does nothing and exits with 0. Programs that use the file must notice the new key
(helseid.NewKeyFile), or be restarted.`,
		Examples: []string{
			`helseid key rotate -config client.json`,
			`helseid key rotate -config /etc/helseid/client.json -within 720h   # in cron, each night`,
		},
		Setup: setupRotate,
	}
}

// rotating are the flags of rotate and watch.
type rotating struct {
	registration
	kind   *string
	settle time.Duration
}

func (r *rotating) add(flags *cli.Flags) {
	r.registration.add(flags)
	flags.Lookup("config").Usage = "configuration `file` from HelseID Selvbetjening, which gets the new key"
	r.kind = addKind(flags)
	flags.DurationVar(&r.settle, "settle", 20*time.Second, "`time` that a new key is left alone until HelseID knows it")
}

func setupRotate(flags *cli.Flags) cli.Run {
	var r rotating
	r.add(flags)
	within := flags.Duration("within", 0, "replace the key only if it expires within this `time`, or up to a tenth earlier; 0: in any case")
	return func(ctx context.Context, out *cli.Output, _ []string) error {
		if err := r.checkFile(); err != nil {
			return err
		}
		if *within < 0 {
			return cli.Usagef("-within is negative")
		}
		config, err := r.client.Config(out)
		if err != nil {
			return err
		}
		rotation, err := r.start(ctx, config, *within)
		if err != nil {
			return err
		}
		defer rotation.Close()
		return r.once(ctx, out, rotation, config.Key, *within > 0)
	}
}

func (r *rotating) checkFile() error {
	if r.client.File == "-" {
		return cli.Usagef("-config must be a file, which gets the new key")
	}
	return nil
}

// start makes the rotation. Its error is a [cli.UsageError]: nothing has been sent.
func (r *rotating) start(ctx context.Context, config helseid.Config, before time.Duration) (*selvbetjening.Rotation, error) {
	kind, err := kindOf(*r.kind)
	if err != nil {
		return nil, err
	}
	settle := r.settle
	if settle == 0 {
		settle = -1 // none
	}
	if settle < -1 {
		return nil, cli.Usagef("-settle is negative")
	}
	rotation, err := selvbetjening.NewRotation(ctx, selvbetjening.RotationConfig{
		Client: config, Store: r.store(), Selvbetjening: r.config(), Kind: kind, Before: before, Settle: settle,
	})
	if err != nil {
		return nil, usage(err)
	}
	return rotation, nil
}

func (r *rotating) store() selvbetjening.FileStore {
	return selvbetjening.FileStore{Path: r.client.File}
}

// once replaces the key, in any case or if it is time.
func (r *rotating) once(ctx context.Context, out *cli.Output, rotation *selvbetjening.Rotation, key *clientassertion.Key, ifDue bool) error {
	rotate := rotation.Rotate
	if ifDue {
		rotate = rotation.RotateIfDue
	}
	if err := rotate(ctx); err != nil {
		if errors.Is(err, selvbetjening.ErrRotation) {
			out.Note("the key was not replaced: %s stays in use", key.ID())
			out.Event(rotationEvent{Event: "failed", KeyID: key.ID(), Problem: cli.WithoutQuery(err).Error()})
		}
		return err
	}
	kid, expiry := rotation.Client().KeyExpiry(ctx)
	event := rotationEvent{Event: "rotated", KeyID: kid, OldKeyID: key.ID()}
	if !expiry.IsZero() {
		event.Expires = expiry.Format(time.RFC3339)
	}
	if kid == key.ID() {
		event.Event, event.OldKeyID = "nothing_to_do", ""
		out.Say("nothing to do: the key %s %s", kid, expires(expiry, time.Now()))
	} else {
		out.Say("the key %s has been replaced by %s, which %s: %s has it", key.ID(), kid, expires(expiry, time.Now()), r.client.File)
	}
	out.Event(event)
	return nil
}

// rotationEvent is what has happened to a key.
type rotationEvent struct {
	Event    string `json:"event"`
	KeyID    string `json:"kid"`
	OldKeyID string `json:"old_kid,omitempty"`
	Expires  string `json:"expires,omitempty"`
	Problem  string `json:"problem,omitempty"`
}
