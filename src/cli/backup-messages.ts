import type { Text } from '../config/kinds.ts'
import { speaker } from './language.ts'

/** What the commands about backups and databases say. Where a text has a place such as {name}, both languages have it. */
export const backupMessages = {
  table: { en: '{table}: {rows} rows, SHA-256 {sha256}', es: '{table}: {rows} filas, SHA-256 {sha256}' },
  copied: {
    en: '{rows} rows of {tables} tables were copied; each table was read again and is the same on both sides.',
    es: 'Se copiaron {rows} filas de {tables} tablas; cada tabla se volvió a leer y es igual en los dos lados.',
  },
  copiedNext: {
    en: 'What was written meanwhile is not in it: if the service ran, stop it and copy again into an empty database. Then set DATABASE_URL to the new one.',
    es: 'Lo que se escribió entretanto no está: si el servicio estaba en marcha, páralo y copia otra vez a una base vacía. Después pon la nueva en DATABASE_URL.',
  },
  noTarget: {
    en: 'Say where to: admin migrate-data --to postgres://USER@HOST/DATABASE (its password in PGPASSWORD), or --to FILE for SQLite.',
    es: 'Di adónde: admin migrate-data --to postgres://USUARIO@HOST/BASE (su contraseña en PGPASSWORD), o --to ARCHIVO para SQLite.',
  },
  sameDatabase: {
    en: 'The data is there already: DATABASE_URL and --to are the same.',
    es: 'Los datos ya están ahí: DATABASE_URL y --to son lo mismo.',
  },
  written: {
    en: '{path}: {rows} rows and {files} files, {size}.',
    es: '{path}: {rows} filas y {files} archivos, {size}.',
  },
  notInIt: {
    en: 'Not in it: {missing}. Password hashes and conversations are in it: keep it where only you can read it.',
    es: 'No incluye: {missing}. Sí incluye hashes de contraseñas y conversaciones: guárdalo donde solo tú puedas leerlo.',
  },
  missingModels: { en: 'models (--models)', es: 'los modelos (--models)' },
  missingSecrets: {
    en: 'the key that signs tokens (--secrets), .env',
    es: 'la clave que firma los tokens (--secrets), .env',
  },
  missingEnv: { en: '.env', es: '.env' },
  restored: {
    en: 'Restored the backup of {date} (simpleIA {version}): {rows} rows and {files} files.',
    es: 'Restaurada la copia del {date} (simpleIA {version}): {rows} filas y {files} archivos.',
  },
  keptAside: { en: 'There was another file; it is kept as {path}', es: 'Había otro archivo; se conserva como {path}' },
} as const satisfies Record<string, Text>

export const speakOfBackups = speaker(backupMessages)
