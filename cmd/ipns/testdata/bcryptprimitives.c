// Go 1.26 takes random bytes from this function, which wine 8 does not have.
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE bytes, SIZE_T count) {
	return SystemFunction036(bytes, (ULONG)count);
}
