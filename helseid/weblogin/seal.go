package weblogin

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// Sealing compresses, encrypts and authenticates (AES-256-GCM) with a key of the
// keyring, and binds the result to its purpose. Each sealed text contains its own new
// random secrets, so that the compressed length reveals nothing about them.

// purpose says what is sealed and for whom. What was sealed for another purpose
// cannot be opened.
type purpose struct {
	kind, name string // such as "login" and the cookie's name
}

// binding returns the additional data that is authenticated with a sealed text.
func (w *Web) binding(of purpose) []byte {
	return join("weblogin 1", of.kind, of.name, w.config.Client.Issuer(), w.config.Client.ID(), w.config.Application)
}

// join concatenates texts so that no two different lists give the same result.
func join(parts ...string) (joined []byte) {
	for _, part := range parts {
		joined = binary.BigEndian.AppendUint32(joined, uint32(len(part)))
		joined = append(joined, part...)
	}
	return joined
}

// seal returns a text for cookies and JSON: the key's id, a dot, and base64url.
func (w *Web) seal(ctx context.Context, of purpose, plain []byte) (string, error) {
	key, err := w.keys.current(ctx)
	if err != nil {
		return "", err
	}
	sealed := key.cipher().Seal(nil, nil, w.deflate(plain), w.binding(of))
	return key.id + "." + base64.RawURLEncoding.EncodeToString(sealed), nil
}

// open returns what was sealed, or nil if it was not sealed for this purpose. An
// error means that this could not be found out.
func (w *Web) open(ctx context.Context, of purpose, text string) ([]byte, error) {
	id, encoded, _ := strings.Cut(text, ".")
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if id == "" || err != nil || len(sealed) == 0 {
		return nil, nil //nolint:nilerr // it is not one of ours
	}
	key, found, err := w.keys.find(ctx, id)
	if err != nil || !found {
		return nil, err
	}
	plain, err := key.cipher().Open(nil, nil, sealed, w.binding(of))
	if err != nil {
		return nil, nil //nolint:nilerr // it is not one of ours
	}
	return w.inflate(plain), nil
}

// cipher puts a random nonce before the sealed text.
func (k sealingKey) cipher() cipher.AEAD {
	block, err := aes.NewCipher([]byte(k.secret.Reveal()))
	if err == nil {
		var aead cipher.AEAD
		if aead, err = cipher.NewGCMWithRandomNonce(block); err == nil {
			return aead
		}
	}
	panic(fmt.Sprint("weblogin: ", err)) // unreachable: the key has the right size
}

// maxPlain limits the decompressed size, in bytes.
const maxPlain = 64 << 10

// dictionary contains what occurs in every login, so that it compresses to almost
// nothing.
func (w *Web) dictionary() []byte {
	return []byte(w.config.Client.Issuer() + w.config.Client.ID() +
		`helseid://scopes/identity/pid helseid://scopes/identity/assurance_level helseid://scopes/identity/pid_pseudonym helseid://scopes/hpr/hpr_number` +
		`{"version":1,"state":{"version":1,"issuer":"https://helseid-sts.nhn.no","client_id":"","jkt":"","state":"","nonce":"","verifier":"",` +
		`"application":"","redirect_uri":"","scopes":["openid","profile","offline_access","helseid://scopes/identity/security_level","nhn:"],` +
		`"resources":["nhn:"],"security_level":4,"max_age":25920,"new_login":true,"details":true,"attested":true,"started":17},"return_to":"/","level":4,"subject":""}`)
}

func (w *Web) deflate(plain []byte) []byte {
	var buffer bytes.Buffer
	writer, pooled := w.deflaters.Get().(*flate.Writer) // each takes a megabyte
	var err error
	if pooled {
		writer.Reset(&buffer)
	} else {
		writer, err = flate.NewWriterDict(&buffer, flate.BestCompression, w.dictionary())
	}
	if err == nil {
		if _, err = writer.Write(plain); err == nil {
			err = writer.Close()
		}
	}
	if err != nil { // unreachable: the level is one, and the buffer takes all
		panic(fmt.Sprint("weblogin: ", err))
	}
	w.deflaters.Put(writer)
	return buffer.Bytes()
}

func (w *Web) inflate(data []byte) []byte {
	reader := flate.NewReaderDict(bytes.NewReader(data), w.dictionary())
	plain, err := io.ReadAll(io.LimitReader(reader, maxPlain))
	if err != nil {
		return nil
	}
	return plain
}
