package helseid

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// clientIdentity tells a client's rows in the store, and its logins, from those of
// other clients, and from those made with another DPoP key.
type clientIdentity struct {
	issuer     string
	clientID   string
	thumbprint string // of the DPoP key
}

// storeKey is the key of something of this client's in the store. It is a hash, so
// whoever reads the store does not learn sessions' ids.
func (i clientIdentity) storeKey(kind, name string) string {
	var buffer [hashRoom]byte
	sum := sha256.Sum256(hashParts(buffer[:0]).add(i.issuer).add(i.clientID).add(kind).add(name))
	return kind + "-" + hex.EncodeToString(sum[:])
}

// decode reads a record of this client's, made with its DPoP key.
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
