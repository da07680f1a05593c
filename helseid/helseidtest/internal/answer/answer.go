// Package answer writes responses as HelseID does.
package answer

import (
	"encoding/json"
	"net/http"
)

// JSON responds with a value as JSON.
func JSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}
