package helseid

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// clientIdentity separates a client's logins and rows in the store from those of
// other clients, and from those made with another DPoP key.
type clientIdentity struct {
	issuer     string
	clientID   string
	thumbprint string // of the DPoP key
}

// storeKey returns the key of one of this client's rows in the store. It is a hash,
// so that reading the store does not reveal session ids.
func (i clientIdentity) storeKey(kind, name string) string {
	var buffer [hashRoom]byte
	sum := sha256.Sum256(hashParts(buffer[:0]).add(i.issuer).add(i.clientID).add(kind).add(name))
	return kind + "-" + hex.EncodeToString(sum[:])
}

// decode reads a session record that this client has written with its present DPoP
// key.
func (i clientIdentity) decode(data []byte) (sessionRecord, error) {
	record, err := i.decodeAnyKey(data)
	if err == nil && record.JKT != i.thumbprint {
		err = fmt.Errorf("%w: the session was made with another DPoP key", ErrLoginRequired)
	}
	return record, err
}

func (i clientIdentity) decodeAnyKey(data []byte) (sessionRecord, error) {
	var record sessionRecord
	switch err := json.Unmarshal(data, &record); {
	case err != nil || record.Version != sessionVersion:
		return record, fmt.Errorf("%w: the stored session is not one of this library's", ErrLoginRequired)
	case record.Issuer != i.issuer || record.ClientID != i.clientID:
		return record, errSessionEnded
	case record.Ended:
		return record, errSessionEnded
	}
	return record, nil
}

// tombstone is the record of a session that has ended.
func (i clientIdentity) tombstone() sessionRecord {
	return sessionRecord{Version: sessionVersion, Issuer: i.issuer, ClientID: i.clientID, Ended: true}
}
