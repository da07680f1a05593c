package selvbetjening

import "github.com/helseid-go/sdk/clientassertion"

// MakeKeysWith lets a test give the keys, since an RSA key takes long to make.
func (r *Rotation) MakeKeysWith(generate func(clientassertion.KeyKind) (*clientassertion.Key, error)) {
	r.generate = generate
}
