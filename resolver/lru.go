package resolver

import "container/list"

// lru is a cache of the size most recently used values.
type lru[K comparable, V any] struct {
	size   int
	values map[K]*list.Element // of pair[K, V]
	recent list.List           // most recently used first
}

type pair[K comparable, V any] struct {
	key   K
	value V
}

func (l *lru[K, V]) get(key K) (V, bool) {
	at, ok := l.values[key]
	if !ok {
		var none V
		return none, false
	}
	l.recent.MoveToFront(at)
	return at.Value.(pair[K, V]).value, true
}

func (l *lru[K, V]) drop(key K) {
	if at, ok := l.values[key]; ok {
		l.recent.Remove(at)
		delete(l.values, key)
	}
}

func (l *lru[K, V]) put(key K, value V) {
	if at, ok := l.values[key]; ok {
		at.Value = pair[K, V]{key, value}
		l.recent.MoveToFront(at)
		return
	}
	if l.values == nil {
		l.values = map[K]*list.Element{}
	}
	l.values[key] = l.recent.PushFront(pair[K, V]{key, value})
	if l.recent.Len() > l.size {
		last := l.recent.Remove(l.recent.Back()).(pair[K, V])
		delete(l.values, last.key)
	}
}
